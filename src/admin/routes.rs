//! The table of the admin service's routes.

use http::Method;

use super::{aliases, warm, webhooks};

/// A route.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The path. `{…}` stands for one segment.
    pub(super) path: &'static str,
    /// The methods, as `Allow` lists them.
    pub(super) methods: &'static str,
    /// The longest body in bytes; 0 if the body is not read.
    pub(super) max_body: usize,
    pub(super) endpoint: Endpoint,
}

/// The resource at a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The process runs.
    Livez,
    /// The server answers requests for faces. It does so without its disk, and then says so.
    Readyz,
    /// The dashboard.
    Dashboard,
    /// The dashboard's figures as JSON.
    Overview,
    /// Metrics for Prometheus.
    Metrics,
    /// These routes in OpenAPI 3.1.
    OpenApi,
    /// Each instance's budget, cooldown and session.
    Instances,
    /// The pause of an instance: lifts it.
    Pause,
    /// The numbers behind an account's LIDs: shows, sets or removes them.
    Aliases,
    /// The state of the cache.
    Cache,
    /// The state of the fleet.
    Fleet,
    /// Runs the cache's maintenance now.
    Maintenance,
    /// Gives the faces of an account that no instance has to an instance.
    Rename,
    /// Expires or removes entries.
    Purge,
    /// Warm-ups: shows, starts or stops them.
    Warm,
    /// Takes a vendor's event.
    Webhook,
    /// The entry of a face: shows, refreshes or forgets it, or takes a picture into it.
    Entry,
    /// The picture of a face, if it is in the cache.
    Picture,
}

/// The parameters of a path, still encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'a> {
    pub(super) provider: &'a str,
    pub(super) instance: &'a str,
    pub(super) jid: &'a str,
}

const READ: &str = "GET, HEAD";

pub(super) static ROUTES: [Route; 19] = [
    route("/livez", READ, Endpoint::Livez),
    route("/readyz", READ, Endpoint::Readyz),
    route("/", READ, Endpoint::Dashboard),
    route("/metrics", READ, Endpoint::Metrics),
    route("/openapi.json", READ, Endpoint::OpenApi),
    route("/v1/overview", READ, Endpoint::Overview),
    route("/v1/instances", READ, Endpoint::Instances),
    route("/v1/instances/{instance}/pause", "DELETE", Endpoint::Pause),
    Route {
        max_body: aliases::MAX_BODY,
        ..route(
            "/v1/aliases/{instance}",
            "GET, HEAD, PUT, DELETE",
            Endpoint::Aliases,
        )
    },
    route("/v1/cache", READ, Endpoint::Cache),
    route("/v1/fleet", READ, Endpoint::Fleet),
    route("/v1/cache/gc", "POST", Endpoint::Maintenance),
    // The name that it had first.
    route("/v1/cache/tend", "POST", Endpoint::Maintenance),
    route("/v1/cache/rename", "POST", Endpoint::Rename),
    route("/v1/purge", "POST", Endpoint::Purge),
    Route {
        max_body: warm::MAX_BODY,
        ..route("/v1/warm", "GET, HEAD, POST, DELETE", Endpoint::Warm)
    },
    Route {
        max_body: webhooks::MAX_BODY,
        ..route("/v1/hooks/{provider}", "POST", Endpoint::Webhook)
    },
    route(
        "/v1/avatars/{instance}/{jid}",
        "GET, HEAD, POST, PUT, DELETE",
        Endpoint::Entry,
    ),
    route(
        "/v1/avatars/{instance}/{jid}/picture",
        READ,
        Endpoint::Picture,
    ),
];

const fn route(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        methods,
        max_body: 0,
        endpoint,
    }
}

/// The route of a path.
pub(super) fn find(path: &str) -> Option<(&'static Route, Parameters<'_>)> {
    ROUTES
        .iter()
        .find_map(|route| Some((route, route.matches(path)?)))
}

impl Route {
    /// Whether the route has `method`.
    pub(super) fn allows(&self, method: &Method) -> bool {
        self.methods
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }

    /// Whether an orchestrator asks this without credentials.
    pub(super) fn is_probe(&self) -> bool {
        matches!(self.endpoint, Endpoint::Livez | Endpoint::Readyz)
    }

    fn matches<'a>(&self, path: &'a str) -> Option<Parameters<'a>> {
        let mut parameters = Parameters::default();
        let mut segments = path.split('/');
        for expected in self.path.split('/') {
            let segment = segments.next()?;
            match expected {
                "{provider}" => parameters.provider = segment,
                "{instance}" => parameters.instance = segment,
                "{jid}" => parameters.jid = segment,
                literal if literal == segment => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_finds_its_own_route() {
        for route in &ROUTES {
            let (found, _) = find(route.path).unwrap();
            assert_eq!(found, route);
            assert!(find(&format!("{}/x", route.path)).is_none_or(|(found, _)| found != route));
        }
    }

    #[test]
    fn parameters_are_taken_from_the_path() {
        let (route, parameters) = find("/v1/avatars/sales/628%40c.us/picture").unwrap();
        assert_eq!(route.endpoint, Endpoint::Picture);
        assert_eq!(parameters.instance, "sales");
        assert_eq!(parameters.jid, "628%40c.us");
        let (_, parameters) = find("/v1/hooks/waha").unwrap();
        assert_eq!(parameters.provider, "waha");
        for path in ["", "/v1", "/v1/avatars/sales", "/v1/hooks/a/b", "livez"] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
