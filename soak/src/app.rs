//! The app that is killed: callers that visit links and tell which of their visits were acknowledged.

use std::io::Write;
use std::time::Duration;

use linkly_core::{Acknowledge, VisitContext};

use crate::Result;
use crate::manifest::Visit;
use crate::subject::{Place, Subject};

pub(crate) const CODES: [&str; 4] = ["hot", "warm", "cold", "odd"];

const CALLERS: u32 = 32;

/// Visits until it is killed. Each line on its standard output tells of one visit; what was written to a pipe
/// is there whatever becomes of the writer.
pub(crate) async fn run(subject: Subject, place: &Place, run: u32) -> Result<()> {
    let (linkly, _writers) = subject.start(place).await?;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let linkly = linkly.clone();
            tokio::spawn(async move {
                for number in 0.. {
                    let visit = Visit { run, caller, number };
                    let referrer = format!("https://{}/", visit.host());
                    let context = VisitContext::new().with_referrer(Some(&referrer)).with_user_agent(Some("Firefox"));
                    // One code is hot.
                    let code = CODES[(number as usize).trailing_zeros().min(3) as usize];
                    let is_acknowledged = linkly.visit(code, &context).await.is_ok();
                    std::io::stdout().write_all(visit.line(is_acknowledged).as_bytes())?;
                    if subject.acknowledge == Acknowledge::Enqueued {
                        // Nothing else holds it back.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                Ok::<_, std::io::Error>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}
