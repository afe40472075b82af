//! A check as clients write it, by itself and within a service.

use crate::http::json::{DecodeError, Object};
use crate::model::{CheckDefinition, Text};

/// Go's name of the body's type, which clients may see in an error.
const GO_FIELDS: &str = "Interval interface {}; Timeout interface {}; TTL interface {}; \
                         DeregisterCriticalServiceAfter interface {}; Args []string \"json:\\\"args\\\"\"; \
                         ScriptArgsSnake []string \"json:\\\"script_args\\\"\"; \
                         DeregisterCriticalServiceAfterSnake interface {} \
                         \"json:\\\"deregister_critical_service_after\\\"\"; \
                         DockerContainerIDSnake string \"json:\\\"docker_container_id\\\"\"; \
                         TLSSkipVerifySnake bool \"json:\\\"tls_skip_verify\\\"\"; ";

/// Of a check by itself.
pub(super) fn go_type() -> String {
    format!("struct {{ {GO_FIELDS}ServiceIDSnake string \"json:\\\"service_id\\\"\"; *structs.Alias }}")
}

/// Of a check within a service.
fn go_type_within() -> String {
    let service = "ServiceID string \"json:\\\"ServiceID\\\"\"; ServiceIDSnake string \"json:\\\"service_id\\\"\"";
    format!("struct {{ {GO_FIELDS}{service}; *structs.Alias }}")
}

/// The check and the checks within a service.
pub(super) fn of_service(service: &Object<'_>) -> Result<(Option<CheckDefinition>, Vec<CheckDefinition>), DecodeError> {
    let go_type = go_type_within();
    let within = |body: &Object<'_>| -> Result<CheckDefinition, DecodeError> {
        let mut check = decode(body)?;
        let id = body.text_of_type("CheckID", "types.CheckID")?;
        if !id.is_empty() {
            check.id = id.into();
        }
        Ok(check)
    };
    let single = service.object("Check", "", &go_type)?;
    let single = single.map(|body| within(&body).map_err(|e| service.outside("Check", e))).transpose()?;
    let list = service.objects("Checks", "", "structs.CheckTypes", &go_type)?;
    let list = list.iter().map(within).collect::<Result<_, _>>().map_err(|e| service.outside("Checks", e))?;
    Ok((single, list))
}

/// The first of two spellings that is there.
fn text(body: &Object<'_>, name: &str, snake: &str) -> Result<Text, DecodeError> {
    let (given, other) = (body.text(name)?, body.text(snake)?);
    Ok(if given.is_empty() { other.into() } else { given.into() })
}

/// A check by itself. Nothing is validated here but types.
pub(super) fn decode(body: &Object<'_>) -> Result<CheckDefinition, DecodeError> {
    let mut args = body.texts("args")?;
    for other in ["ScriptArgs", "script_args"] {
        if args.is_empty() {
            args = body.texts(other)?;
        }
    }
    let after = body.duration("DeregisterCriticalServiceAfter")?;
    let after = if after == 0 { body.duration("deregister_critical_service_after")? } else { after };
    Ok(CheckDefinition {
        id: body.text_of_type("ID", "types.CheckID")?.into(),
        name: body.text("Name")?.into(),
        notes: body.text("Notes")?.into(),
        status: body.text("Status")?.into(),
        service_id: text(body, "ServiceID", "service_id")?,
        token: body.text("Token")?.into(),
        interval: body.duration("Interval")?,
        timeout: body.duration("Timeout")?,
        ttl: body.duration("TTL")?,
        args: args.into_iter().map(String::from).collect(),
        docker_container_id: text(body, "DockerContainerID", "docker_container_id")?,
        shell: body.text("Shell")?.into(),
        http: body.text("HTTP")?.to_owned(),
        header: body.map_of_texts("Header")?,
        method: body.text("Method")?.into(),
        body: body.text("Body")?.to_owned(),
        disable_redirects: body.boolean("DisableRedirects")?,
        tcp: body.text("TCP")?.to_owned(),
        tcp_use_tls: body.boolean("TCPUseTLS")?,
        udp: body.text("UDP")?.to_owned(),
        grpc: body.text("GRPC")?.to_owned(),
        grpc_use_tls: body.boolean("GRPCUseTLS")?,
        h2ping: body.text("H2PING")?.to_owned(),
        h2ping_use_tls: body.get("H2PingUseTLS").map(|_| body.boolean("H2PingUseTLS")).transpose()?,
        tls_server_name: body.text("TLSServerName")?.into(),
        tls_skip_verify: body.boolean("TLSSkipVerify")? || body.boolean("tls_skip_verify")?,
        alias_node: body.text("AliasNode")?.into(),
        alias_service: body.text("AliasService")?.into(),
        success_before_passing: body.integer("SuccessBeforePassing")?,
        failures_before_warning: body.integer("FailuresBeforeWarning")?,
        failures_before_critical: body.integer("FailuresBeforeCritical")?,
        deregister_critical_service_after: after,
        output_max_size: body.integer("OutputMaxSize")?,
    })
}
