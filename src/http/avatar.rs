//! `/avatar/{instance}/{jid}`: always an image, unless the request is wrong.

use http::{HeaderMap, Method, Response};

use super::{
    Body, Front,
    log::Line,
    problem::Problem,
    represent::{self, Context},
    route::Wanted,
};
use crate::avatar::Ask;

impl Front {
    pub(super) async fn avatar(
        &self,
        wanted: Wanted<'_>,
        method: &Method,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Result<Response<Body>, Problem> {
        let shared = &self.shared;
        let now = shared.faces.now();
        // Before the instance is looked up: who may not see anything shall not learn its name.
        shared.settings.access.admit(&wanted, headers, now)?;
        let instance = shared
            .instances
            .get(wanted.instance.as_ref())
            .ok_or(Problem::NoInstance)?;
        line.instance(instance.name());

        let context = Context {
            instance: instance.name(),
            subject: &wanted.subject,
            view: &wanted.view,
            method,
            headers,
            settings: &shared.settings,
            policy: shared.faces.policy(),
            now,
        };
        if wanted.view.force_default {
            line.served("bypass", "fallback", "forced");
            return Ok(represent::forced(&context));
        }
        let ask = if wanted.refresh {
            Ask::Refresh
        } else {
            Ask::View
        };
        let served = shared
            .faces
            .face(instance, wanted.subject, ask)
            .await
            .map_err(Problem::Unsupported)?;
        let context = Context {
            now: shared.faces.now(),
            ..context
        };
        let source = if served.picture().is_some() {
            "picture"
        } else {
            "fallback"
        };
        let reason = represent::reason(&served, &context).unwrap_or("none");
        line.served(served.how(), source, reason);
        Ok(represent::face(&served, &context))
    }
}
