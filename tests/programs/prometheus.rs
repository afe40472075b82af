//! Prometheus finds its targets through `consul_sd_configs`, and follows them.

use super::common::{Server, http};
use super::program::{Program, find, free_port};
use super::{deregister, register};
use std::net::SocketAddr;

/// Two jobs: all services with one tag, and one service by name; the labels show what was read of the catalog.
fn config(server: &Server) -> String {
    let address = server.http_addr();
    format!(
        "
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: tagged
  consul_sd_configs: [{{server: '{address}', tags: [scrape]}}]
  relabel_configs:
  - {{source_labels: [__meta_consul_service], target_label: service}}
  - {{source_labels: [__meta_consul_service_metadata_team], target_label: team}}
  - {{source_labels: [__meta_consul_dc], target_label: dc}}
  - {{source_labels: [__meta_consul_tags], target_label: tags}}
  - {{source_labels: [__meta_consul_node], target_label: node}}
- job_name: named
  consul_sd_configs: [{{server: '{address}', services: [later]}}]
"
    )
}

/// The targets of a job as `address`, sorted, with their labels.
fn targets(prometheus: SocketAddr, job: &str) -> Option<Vec<(String, serde_json::Value)>> {
    let answer = http::request(prometheus, "GET", "/api/v1/targets?state=active", &[], b"").ok()?;
    let json = (answer.status == 200).then(|| answer.json())?;
    let active = json["data"]["activeTargets"].as_array()?;
    let of_job = active.iter().filter(|target| target["labels"]["job"] == job);
    let mut found: Vec<_> = of_job
        .map(|target| (target["labels"]["instance"].as_str().unwrap_or_default().to_owned(), target["labels"].clone()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Some(found)
}

#[test]
fn prometheus_finds_and_follows_its_targets() {
    let Some(program) = find("prometheus") else { return };
    let server = Server::dev();
    register(&server, "web", 1001, &["scrape", "v1"], "passing");
    register(&server, "other", 1002, &["v1"], "passing");
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config(&server)).expect("written");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let args = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", folder.path().join("data").display()),
        format!("--web.listen-address={address}"),
    ];
    let mut prometheus = Program::start(&program, &args, folder.path());
    let mut until = |job: &str, ports: &[u16]| {
        let wanted: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        prometheus.until(&format!("{job}: {wanted:?}"), || {
            targets(address, job).filter(|found| found.iter().map(|(target, _)| target).eq(&wanted))
        })
    };
    let found = until("tagged", &[1001]);
    let labels = &found[0].1;
    let expected = serde_json::json!({
        "instance": "127.0.0.1:1001", "job": "tagged", "service": "web", "team": "blue", "dc": "dc1",
        "tags": ",scrape,v1,", "node": "node-web-1001",
    });
    assert_eq!(*labels, expected);
    register(&server, "web", 1003, &["scrape"], "passing");
    until("tagged", &[1001, 1003]);
    register(&server, "later", 1004, &[], "passing");
    until("named", &[1004]);
    deregister(&server, "web", 1001);
    until("tagged", &[1003]);
}
