//! /v1/snapshot: the state as an archive.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Mode;
use crate::http::reply::Answer;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

/// A larger archive is not taken.
const UPLOAD_BYTES_MAX: u64 = 1 << 30;

/// /v1/snapshot
pub(super) async fn snapshot(call: Call) -> Result<Answer, Error> {
    if call.method == Method::PUT { restore(call).await } else { save(call).await }
}

async fn save(call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let (archive, view) = call.core.save_snapshot(&read.mode.options()).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-gzip"));
    answer.body = archive.into();
    read.mode.announce(&mut answer.headers, view.state.revision());
    Mode::correct(&mut answer.headers, &view);
    Ok(answer)
}

/// The archive is kept in a file without a name while it is looked through, so that its size is no matter of memory.
async fn restore(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let failed = |error: std::io::Error| Error::server(format!("failed to keep the snapshot: {error}"));
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(failed)?);
    let mut bytes = 0;
    while let Some(frame) = call.body.frame().await {
        let frame = frame.map_err(|_| Error::bad_request("Bad request: the body ends too early"))?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > UPLOAD_BYTES_MAX {
            let text = format!("the snapshot is too large, max size: {UPLOAD_BYTES_MAX} bytes");
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        file.write_all(&data).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    call.core.restore_snapshot(file.into_std().await).await?;
    Ok(Answer::empty(StatusCode::OK))
}
