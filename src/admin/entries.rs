//! `/v1/avatars/{instance}/{jid}`: shows, refreshes and forgets the entry of one face, and shows its picture.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Admin, Error,
    records::{DeferredRecord, EntryRecord, PlanRecord, ResponseRecord},
    routes::Parameters,
};
use crate::{
    avatar::{Ask, Entry, Key, Subject},
    fleet::Spread,
    http::{access_log::RequestLog, query, respond},
    images::{Asker, Format, Original, VariantSpec},
    pipeline::{Demand, Instance, Preview, Requester},
    representation::{FaceRequest, Rendering, view::View},
    server::Reply,
    store::instance_of,
};

/// The size of the dashboard's pictures, in pixels.
const THUMBNAIL: u16 = 96;

/// How far a fleet has forgotten a face.
#[derive(Serialize, ToSchema)]
pub(super) struct ForgetResult {
    /// The replicas that have forgotten it. The others follow when they hear of it, before they show it again.
    applied: usize,
    /// The live replicas.
    of: usize,
}

/// The owner of faces, as a request names it.
#[derive(Clone, Debug)]
pub(super) enum NamedInstance<'a> {
    /// A configured instance.
    Configured(Arc<Instance>),
    /// A name that only the cache may have.
    Stored(&'a str),
}

impl NamedInstance<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            NamedInstance::Configured(instance) => instance.name(),
            NamedInstance::Stored(name) => name,
        }
    }
}

impl Admin {
    /// The instance called `name`, in the configuration or in the cache. An instance of a pattern is made only if it
    /// was made before.
    pub(super) async fn named<'a>(&self, name: &'a str) -> NamedInstance<'a> {
        if let Some(instance) = self.instances.named(name) {
            return NamedInstance::Configured(instance);
        }
        let of = instance_of(name);
        match self.instances.make(of, Demand::IfKnown).await {
            Ok(instance) if of == name || **instance.cache_name() == *name => {
                NamedInstance::Configured(instance)
            }
            _ => NamedInstance::Stored(name),
        }
    }

    /// The face that a path names.
    pub(super) async fn face<'a>(
        &self,
        parameters: &Parameters<'a>,
    ) -> Result<(NamedInstance<'a>, Subject), Error> {
        let jid = query::segment(parameters.jid).map_err(|_| Error::Encoding)?;
        let named = self.named(parameters.instance).await;
        Ok((named, jid.parse().map_err(Error::Jid)?))
    }

    /// The cached entry of a face.
    async fn entry(
        &self,
        named: &NamedInstance<'_>,
        subject: Subject,
    ) -> Result<Arc<Entry>, Error> {
        match named {
            NamedInstance::Configured(instance) => {
                let entry = self.faces.entry(instance, subject).await?;
                entry.ok_or(Error::NoEntry)
            }
            NamedInstance::Stored(name) => {
                let entry = self.faces.stored_entry(name, subject).await;
                entry.ok_or(Error::UnknownInstance)
            }
        }
    }

    pub(super) async fn show_entry(
        &self,
        named: NamedInstance<'_>,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let entry = self.entry(&named, subject).await?;
        let (key, (plan, response)) = match &named {
            NamedInstance::Configured(instance) => {
                let owner = instance.owner(instance.resolve_own(subject)?);
                let key = owner.key().to_string();
                (Some(key), self.preview(instance, subject).await?)
            }
            NamedInstance::Stored(_) => (None, (None, None)),
        };
        let mut record = self.record(named.as_str(), &subject, &entry);
        record.key = key;
        record.plan = plan;
        record.response = response;
        Ok(respond::json(&record))
    }

    fn record<'a>(&self, name: &'a str, subject: &'a Subject, entry: &'a Entry) -> EntryRecord<'a> {
        let ttl = self.faces.policy().ttl;
        EntryRecord::new(name, subject, entry, self.faces.now(), ttl)
    }

    /// The answer that a request without parameters gets now. Never calls the vendor.
    async fn preview(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
    ) -> Result<(Option<PlanRecord>, Option<ResponseRecord>), Error> {
        let Preview { plan, face } = self.faces.preview(instance, subject).await?;
        let request = FaceRequest {
            instance: instance.clone(),
            subject,
            view: View::default(),
            method: Method::GET,
            headers: HeaderMap::new(),
            is_refresh: false,
            sharing: self.sharing,
            client: None,
        };
        let mut log = RequestLog::start(&request.method, &request.headers);
        let representation = match self.renderer.choose(Some(&face), &request) {
            Rendering::Ready(representation) => representation,
            Rendering::Pending(variant) => self.renderer.make(variant, &request, &log).await,
        };
        let now = self.faces.now();
        let reply = self
            .renderer
            .reply(Some(&face), &representation, &request, now, &mut log);
        Ok((Some(plan.into()), Some(ResponseRecord::new(&reply))))
    }

    /// Asks the vendor, and shows the entry then. A forgotten face is not asked for.
    pub(super) async fn refresh_entry(
        &self,
        named: NamedInstance<'_>,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let instance = match &named {
            NamedInstance::Configured(instance) => instance.clone(),
            NamedInstance::Stored(name) => self.instance(name).await?,
        };
        let look_up = self
            .faces
            .look_up(&instance, subject, Ask::Refresh, Requester::operator());
        let face = look_up.await?;
        if face.is_unreadable {
            return Err(Error::Unreadable);
        }
        if let Some(refusal) = face.refusal() {
            return Err(Error::NotAsked {
                why: refusal.why,
                wait: refusal.retry_at.since(self.faces.now()),
            });
        }
        let named = NamedInstance::Configured(instance);
        let entry = match face.is_deferred() {
            // The fetch may wait for a slow disk, so the disk is not asked again.
            true => face.entry.clone(),
            false => Some(self.entry(&named, subject).await?),
        };
        let is_forgotten = |entry: &Arc<Entry>| entry.is_forgotten(self.faces.now());
        if entry.as_ref().is_some_and(is_forgotten) {
            return Err(Error::Forgotten);
        }
        let record = entry.as_deref();
        let record = record.map(|entry| self.record(named.as_str(), &subject, entry));
        Ok(if face.is_deferred() {
            let mut reply = respond::json(&DeferredRecord::new(record));
            reply.status = StatusCode::ACCEPTED;
            reply
        } else {
            respond::json(&record)
        })
    }

    pub(super) async fn forget_entry(
        &self,
        named: NamedInstance<'_>,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let (is_on_disk, spread) = match named {
            NamedInstance::Configured(instance) => self.faces.forget(&instance, subject).await?,
            NamedInstance::Stored(name) => {
                let forgotten = self.faces.forget_stored(name, subject).await;
                (forgotten.ok_or(Error::UnknownInstance)?, None)
            }
        };
        match spread {
            _ if !is_on_disk => Err(Error::NotOnDisk),
            Some(Spread { applied, of }) => Ok(respond::json(&ForgetResult { applied, of })),
            None => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        }
    }

    /// The cached picture in a small size. Never calls the vendor.
    pub(super) async fn picture(
        &self,
        named: NamedInstance<'_>,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let entry = match self.entry(&named, subject).await {
            Err(Error::NoEntry) => return Err(Error::NoPicture),
            entry => entry?,
        };
        let stored = entry.picture.as_ref();
        let picture = &stored.ok_or(Error::NoPicture)?.picture;
        let spec = VariantSpec {
            edge: Some(THUMBNAIL),
            format: Format::Jpeg,
        };
        let original = Original::Picture(picture.clone());
        let asker = Asker::operator(Key::new(named.as_str(), &subject));
        let made = self.thumbnailer.make(original, spec, asker).await;
        let (media, bytes): (_, Bytes) = match made {
            Ok(variant) => (variant.format.as_str(), variant.bytes.clone()),
            Err(_) => (picture.media().as_str(), picture.bytes().clone()),
        };
        let mut reply = respond::uncached(StatusCode::OK, media, bytes);
        reply.headers.add(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        );
        Ok(reply)
    }
}
