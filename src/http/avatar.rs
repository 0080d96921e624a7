//! `/avatar/{instance}/{jid}`: always an image, unless the request is wrong.

use std::sync::Arc;

use http::{HeaderMap, Method, Response};

use super::{
    Body, Front,
    log::Line,
    problem::Problem,
    represent::{self, Context},
    route::Wanted,
};
use crate::{
    avatar::{Ask, Subject},
    pipeline::{Instance, Served},
    telemetry::AVATAR,
};

/// A face that the client may see.
struct Asked<'a> {
    instance: &'a Arc<Instance>,
    subject: Subject,
    ask: Ask,
    context: Context<'a>,
}

impl Front {
    /// The answer if the face is in memory, or none is looked for.
    pub(super) fn avatar_at_once(
        &self,
        wanted: &Wanted<'_>,
        method: &Method,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Result<Option<Response<Body>>, Problem> {
        let asked = self.asked(wanted, method, headers, line)?;
        self.known(&asked, line)
    }

    /// The answer, wherever the face has to come from.
    pub(super) async fn avatar(
        &self,
        wanted: &Wanted<'_>,
        method: &Method,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Result<Response<Body>, Problem> {
        let asked = self.asked(wanted, method, headers, line)?;
        if let Some(response) = self.known(&asked, line)? {
            return Ok(response);
        }
        let faces = &self.shared.faces;
        let served = faces
            .face(asked.instance, asked.subject, asked.ask)
            .await
            .map_err(Problem::Unsupported)?;
        let context = Context {
            now: faces.now(),
            ..asked.context
        };
        Ok(respond(&served, &context, line))
    }

    fn known(&self, asked: &Asked<'_>, line: &mut Line) -> Result<Option<Response<Body>>, Problem> {
        if asked.context.view.force_default {
            line.served("bypass", "fallback", "forced");
            return Ok(Some(represent::forced(&asked.context)));
        }
        let faces = &self.shared.faces;
        let served = faces
            .face_at_once(asked.instance, asked.subject, asked.ask, asked.context.now)
            .map_err(Problem::Unsupported)?;
        Ok(served.map(|served| respond(&served, &asked.context, line)))
    }

    /// What is asked for, if it may be.
    fn asked<'a>(
        &'a self,
        wanted: &'a Wanted<'_>,
        method: &'a Method,
        headers: &'a HeaderMap,
        line: &mut Line,
    ) -> Result<Asked<'a>, Problem> {
        line.route(AVATAR);
        let shared = &self.shared;
        let now = shared.faces.now();
        // Before the instance is looked up: who may not see anything shall not learn its name.
        shared.settings.access.admit(wanted, headers, now)?;
        let instance = shared
            .instances
            .get(wanted.instance.as_ref())
            .ok_or(Problem::NoInstance)?;
        line.instance(instance.name());
        Ok(Asked {
            instance,
            subject: wanted.subject,
            ask: if wanted.refresh {
                Ask::Refresh
            } else {
                Ask::View
            },
            context: Context {
                instance: instance.name(),
                subject: &wanted.subject,
                view: &wanted.view,
                method,
                headers,
                settings: &shared.settings,
                policy: shared.faces.policy(),
                now,
            },
        })
    }
}

fn respond(served: &Served, context: &Context<'_>, line: &mut Line) -> Response<Body> {
    let source = if served.picture().is_some() {
        "picture"
    } else {
        "fallback"
    };
    let reason = represent::reason(served, context).unwrap_or("none");
    line.served(served.how(), source, reason);
    represent::face(served, context)
}
