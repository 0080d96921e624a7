//! The answer that a request for a face gets now, found out without asking the vendor.

use std::sync::Arc;

use super::{Faces, Instance, ServedFace, target::Target};
use crate::{
    avatar::{Ask, Plan, Subject, decide},
    upstream::UnsupportedSubject,
};

/// The answer to a request without parameters.
#[derive(Debug)]
pub struct Preview {
    /// How it is answered.
    pub plan: Plan,
    /// The face; where the vendor has to be asked, as it is served if the deadline comes first.
    pub face: ServedFace,
}

impl Faces {
    /// Finds out how a request is answered now.
    pub async fn preview(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
    ) -> Result<Preview, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let entry = self.shared.store.find(&target.key).await;
        if instance.has_only_pushed(target.subject, entry.as_deref()) {
            return Ok(Preview {
                plan: Plan::Serve,
                face: ServedFace::of_push(entry),
            });
        }
        let plan = decide(entry.as_deref(), Ask::View, self.now(), self.policy());
        let face = match plan {
            Plan::Serve => ServedFace::from_cache(entry),
            Plan::ServeAndRefresh => ServedFace::while_revalidating(entry),
            Plan::Wait(why) => ServedFace::after_fetch(entry, why, None, false),
        };
        Ok(Preview { plan, face })
    }
}
