//! The record and its choice of command.

use super::field::{at, uuid_bytes};
use crate::command::{CodecError, Command, Record};
use crate::proto::internal as pb;
use pb::record::Command as Wire;

impl From<&Record> for pb::Record {
    fn from(record: &Record) -> pb::Record {
        pb::Record {
            time_ms: record.time_ms,
            request_id: record.request_id.as_ref().map(uuid_bytes),
            command: Some((&record.command).into()),
        }
    }
}

impl TryFrom<pb::Record> for Record {
    type Error = CodecError;

    fn try_from(record: pb::Record) -> Result<Record, CodecError> {
        Ok(Record {
            time_ms: record.time_ms,
            request_id: at("Record", "request_id").optional_uuid(record.request_id)?,
            command: at("Record", "command").required(record.command)?.try_into()?,
        })
    }
}

impl From<&Command> for Wire {
    fn from(command: &Command) -> Wire {
        match command {
            Command::Register(c) => Wire::Register(c.into()),
            Command::Update(c) => Wire::Update(c.into()),
            Command::Deregister(c) => Wire::Deregister(c.into()),
            Command::Report(c) => Wire::Report(c.into()),
            Command::SetOverride(c) => Wire::SetOverride(c.into()),
            Command::CatalogRegister(c) => Wire::CatalogRegister((&**c).into()),
            Command::CatalogDeregister(c) => Wire::CatalogDeregister(c.into()),
            Command::Put(c) => Wire::Put(c.into()),
            Command::Delete(c) => Wire::Delete(c.into()),
            Command::Txn(c) => Wire::Txn(c.into()),
            Command::CreateSession(c) => Wire::CreateSession(c.into()),
            Command::CloseSession(c) => Wire::CloseSession(c.into()),
            Command::AcquireLock(c) => Wire::AcquireLock(c.into()),
            Command::ReleaseLock(c) => Wire::ReleaseLock(c.into()),
            Command::Proclaim(c) => Wire::Proclaim(c.into()),
            Command::Expire(c) => Wire::Expire(c.into()),
            Command::UpdateCoordinates(c) => Wire::UpdateCoordinates(c.into()),
        }
    }
}

impl TryFrom<Wire> for Command {
    type Error = CodecError;

    fn try_from(command: Wire) -> Result<Command, CodecError> {
        Ok(match command {
            Wire::Register(c) => Command::Register(c.try_into()?),
            Wire::Update(c) => Command::Update(c.try_into()?),
            Wire::Deregister(c) => Command::Deregister(c.try_into()?),
            Wire::Report(c) => Command::Report(c.try_into()?),
            Wire::SetOverride(c) => Command::SetOverride(c.try_into()?),
            Wire::CatalogRegister(c) => Command::CatalogRegister(Box::new(c.try_into()?)),
            Wire::CatalogDeregister(c) => Command::CatalogDeregister(c.into()),
            Wire::Put(c) => Command::Put(c.try_into()?),
            Wire::Delete(c) => Command::Delete(c.try_into()?),
            Wire::Txn(c) => Command::Txn(c.try_into()?),
            Wire::CreateSession(c) => Command::CreateSession(c.try_into()?),
            Wire::CloseSession(c) => Command::CloseSession(c.try_into()?),
            Wire::AcquireLock(c) => Command::AcquireLock(c.try_into()?),
            Wire::ReleaseLock(c) => Command::ReleaseLock(c.try_into()?),
            Wire::Proclaim(c) => Command::Proclaim(c.try_into()?),
            Wire::Expire(c) => Command::Expire(c.try_into()?),
            Wire::UpdateCoordinates(c) => Command::UpdateCoordinates(c.try_into()?),
        })
    }
}
