//! The DNS of the real binary under each of its options, beside what a real Consul 1.8.7 with the same options answered
//! to the same questions about the same catalog (`tests/golden/record_dns.py CONSUL options`). Where we differ on
//! purpose, `agree` says why.

#[path = "../common/mod.rs"]
mod common;
mod recursor;

use common::Server;
use common::dns::{self, Answer, Data, Record, kind};
use recursor::Recursor;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

const GOLDEN: &str = include_str!("../golden/dns/options-1.8.7.json");
/// Types by number, as the file names them.
const KINDS: &[(&str, u16)] = &[
    ("A", kind::A),
    ("NS", kind::NS),
    ("CNAME", kind::CNAME),
    ("SOA", kind::SOA),
    ("PTR", kind::PTR),
    ("TXT", kind::TXT),
    ("AAAA", kind::AAAA),
    ("SRV", kind::SRV),
    ("ANY", kind::ANY),
];

/// An answer as the file has it.
#[derive(Debug)]
struct Reply {
    rcode: u64,
    flags: String,
    bytes: usize,
    answers: Vec<String>,
    authority: Vec<String>,
    additional: Vec<String>,
}

impl Reply {
    fn read(json: &Value) -> Reply {
        let texts = |field: &str| -> Vec<String> {
            json[field].as_array().expect(field).iter().map(|v| v.as_str().expect("a text").to_owned()).collect()
        };
        Reply {
            rcode: json["rcode"].as_u64().expect("rcode"),
            flags: json["flags"].as_str().expect("flags").to_owned(),
            bytes: json["bytes"].as_u64().expect("bytes") as usize,
            answers: texts("answers"),
            authority: texts("authority"),
            additional: texts("additional"),
        }
    }

    fn of(answer: &Answer) -> Reply {
        let flags = [
            ("aa", answer.authoritative),
            ("tc", answer.truncated),
            ("rd", answer.bytes[2] & 1 != 0),
            ("ra", answer.recursion_available),
        ];
        let flags: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        let texts = |records: &[Record]| records.iter().map(text).collect();
        Reply {
            rcode: answer.rcode.into(),
            flags: flags.join(" "),
            bytes: answer.bytes.len(),
            answers: texts(&answer.answers),
            authority: texts(&answer.authorities),
            additional: texts(&answer.additionals),
        }
    }
}

fn text(record: &Record) -> String {
    if record.kind == kind::OPT {
        return format!("OPT {}", record.class);
    }
    let data = match &record.data {
        Data::Address(address) => address.to_string(),
        Data::Srv { priority, weight, port, target } => format!("{priority} {weight} {port} {target}"),
        Data::Name(name) => name.clone(),
        Data::Txt(texts) => texts.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(" "),
        Data::Soa(primary, contact, [_, refresh, retry, expire, minimum]) => {
            format!("{primary} {contact} SERIAL {refresh} {retry} {expire} {minimum}")
        }
        Data::Other(bytes) => format!("{bytes:02x?}"),
    };
    let kind = KINDS.iter().find(|(_, number)| *number == record.kind).map_or("?", |(name, _)| name);
    format!("{} {} {kind} {data}", record.name, record.ttl)
}

/// Without repeats, owners in lower case.
fn folded(records: &[String]) -> BTreeSet<String> {
    let fold = |r: &String| r.split_once(' ').map_or(r.clone(), |(o, rest)| format!("{} {rest}", o.to_lowercase()));
    records.iter().map(fold).collect()
}

/// What of an answer is compared when a recursor was asked for a name outside: Consul asks it for an address of IPv4
/// whatever the question was, and tells the time to live of the service instead of the record's own.
fn own(records: &[String], options: &str, case: &Value) -> BTreeSet<String> {
    let from_recursor = |r: &String| options.contains("recursors") && r.ends_with(" A 192.0.2.1");
    let folded = folded(records).into_iter();
    let kept = folded.filter(|r| !(from_recursor(r) && case["type"] == "AAAA"));
    kept.map(|r| if from_recursor(&r) { r.split(' ').next().unwrap_or_default().to_owned() } else { r }).collect()
}

fn agree(options: &str, case: &Value, ours: &Reply, theirs: &Reply) -> bool {
    let head = (ours.rcode, &ours.flags) == (theirs.rcode, &theirs.flags);
    let name = case["name"].as_str().expect("name");
    let limit = match case["transport"].as_str() {
        Some("tcp") => 65_535,
        _ => case["edns"].as_u64().unwrap_or(0).max(512) as usize,
    };
    if ["many.", "four."].iter().any(|chosen| name.starts_with(chosen)) {
        // Which of them is chosen at random. Consul sends one answer with all additional records even if it is too
        // long for the client; we never do.
        let too_long = theirs.bytes > limit;
        let counts = |r: &Reply| (r.answers.len(), r.authority.len(), if too_long { 0 } else { r.additional.len() });
        // Where the room ends before the answers, Consul gives up more of them than it must.
        let fuller = options.contains(r#""udp_answer_limit":10"#) && ours.answers.len() > theirs.answers.len();
        return head && (fuller || counts(ours) == counts(theirs)) && ours.bytes <= limit;
    }
    // Consul leaves EDNS out where it refuses; RFC 6891 §6.1.1 does not.
    let is_refused = ours.rcode == 5 && ours.additional.len() == 1 && theirs.additional.is_empty();
    let own = |records| own(records, options, case);
    head && (is_refused || own(&ours.additional) == own(&theirs.additional))
        && own(&ours.answers) == own(&theirs.answers)
        && folded(&ours.authority) == folded(&theirs.authority)
}

fn ask(server: &Server, case: &Value) -> Reply {
    let name = case["name"].as_str().expect("name");
    let wanted = case["type"].as_str().expect("type");
    let kind = KINDS.iter().find(|(name, _)| *name == wanted).expect("a known type").1;
    let edns = case["edns"].as_u64().filter(|size| *size > 0).map(|size| size as u16);
    let answer = match case["transport"].as_str() {
        Some("tcp") => dns::tcp(server.dns_addr(), name, kind),
        _ => dns::udp(server.dns_addr(), name, kind, edns),
    };
    Reply::of(&answer.unwrap_or_else(|e| panic!("{case}: {e}")))
}

#[test]
fn options_do_what_they_do_in_consul() {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let recursor = Recursor::start(IpAddr::from([192, 0, 2, 1]));
    let mut asked = 0;
    let mut differing = Vec::new();
    for row in golden["servers"].as_array().expect("servers") {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("options.json");
        let options = row["options"].to_string().replace("<recursor>", &recursor.address.to_string());
        std::fs::write(&file, &options).expect("the file of options");
        let server = Server::dev_with(&["-node=srv1", &format!("-config-file={}", file.display())]);
        // Most servers are not asked for the service with 60 instances.
        let many = row["cases"].to_string().contains("many.service");
        let catalog = golden["catalog"].as_array().expect("catalog").iter();
        for entry in catalog.filter(|entry| many || entry["Service"]["Service"] != "many") {
            server.put("/v1/catalog/register", entry.to_string()).ok();
        }
        for case in row["cases"].as_array().expect("cases") {
            asked += 1;
            let (ours, theirs) = (ask(&server, case), Reply::read(&case["reply"]));
            if !agree(&options, case, &ours, &theirs) {
                let question = format!("{} {}", case["name"], case["type"]);
                differing.push(format!("{options} {question}\n  ours   {ours:?}\n  Consul {theirs:?}"));
            }
        }
    }
    assert!(asked > 200, "{asked} questions");
    assert!(differing.is_empty(), "{} of {asked} differ:\n{}", differing.len(), differing.join("\n"));
}
