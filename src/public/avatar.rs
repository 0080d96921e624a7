//! `/avatar/{instance}/{jid}`: always an image, unless the request is wrong.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::route::Wanted;
use crate::{
    avatar::{Ask, Subject},
    front::Front,
    http::{access_log::Line, problem::Problem},
    pipeline::{Instance, ServedFace},
    representation::{
        self as shown, Shown,
        headers::{self as represent, Context},
    },
    server::Reply,
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
    pub(crate) fn avatar_at_once(
        &self,
        wanted: &Wanted<'_>,
        method: &Method,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Result<Option<Reply>, Problem> {
        let asked = self.asked(wanted, method, headers, line)?;
        self.known(&asked, line)
    }

    /// The answer, wherever the face has to come from.
    pub(crate) async fn avatar(
        &self,
        wanted: &Wanted<'_>,
        method: &Method,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Result<Reply, Problem> {
        let asked = self.asked(wanted, method, headers, line)?;
        if let Some(response) = self.known(&asked, line)? {
            return Ok(response);
        }
        if asked.context.view.force_default {
            let shown = self.shown(None, &asked.context).await;
            return Ok(forced(&shown, &asked.context, line));
        }
        let faces = &self.shared.faces;
        let served = faces
            .look_up(asked.instance, asked.subject, asked.ask)
            .await
            .map_err(Problem::Unsupported)?;
        let context = Context {
            now: faces.now(),
            ..asked.context
        };
        let shown = self.shown(Some(&served), &context).await;
        Ok(respond(&served, &shown, &context, line))
    }

    /// What is sent, if it need not be made first.
    fn shown_at_once(&self, served: Option<&ServedFace>, context: &Context<'_>) -> Option<Shown> {
        let (better, shown) = shown::choose(served, context);
        let Some((original, variant)) = better else {
            return Some(shown);
        };
        let made = self
            .shared
            .settings
            .thumbnailer
            .get_cached(&original, variant)?;
        Some(shown.or_better(made.variant()))
    }

    /// What is sent.
    pub(crate) async fn shown(&self, served: Option<&ServedFace>, context: &Context<'_>) -> Shown {
        if let Some(shown) = self.shown_at_once(served, context) {
            return shown;
        }
        let (better, shown) = shown::choose(served, context);
        let Some((original, variant)) = better else {
            return shown;
        };
        shown.or_better(
            self.shared
                .settings
                .thumbnailer
                .make(original, variant)
                .await,
        )
    }

    fn known(&self, asked: &Asked<'_>, line: &mut Line) -> Result<Option<Reply>, Problem> {
        if asked.context.view.force_default {
            let shown = self.shown_at_once(None, &asked.context);
            return Ok(shown.map(|shown| forced(&shown, &asked.context, line)));
        }
        let faces = &self.shared.faces;
        let served = faces
            .try_look_up(asked.instance, asked.subject, asked.ask, asked.context.now)
            .map_err(Problem::Unsupported)?;
        let Some(served) = served else {
            return Ok(None);
        };
        let shown = self.shown_at_once(Some(&served), &asked.context);
        Ok(shown.map(|shown| respond(&served, &shown, &asked.context, line)))
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
                common: &shared.common,
                policy: shared.faces.policy(),
                now,
            },
        })
    }
}

fn forced(shown: &Shown, context: &Context<'_>, line: &mut Line) -> Reply {
    line.served("bypass", "fallback", "forced");
    represent::forced(shown, context)
}

pub(crate) fn respond(
    served: &ServedFace,
    shown: &Shown,
    context: &Context<'_>,
    line: &mut Line,
) -> Reply {
    let source = if served.picture().is_some() {
        "picture"
    } else {
        "fallback"
    };
    let reason = represent::reason(served, context).unwrap_or("none");
    line.served(served.cache_status(), source, reason);
    represent::face(served, shown, context)
}
