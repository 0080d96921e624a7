//! `/v1/avatars/{instance}/{jid}`: shows, refreshes and forgets the entry of one face, and shows its picture.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};

use super::{Admin, Error, records::EntryRecord, routes::Parameters};
use crate::{
    avatar::{Ask, Subject},
    http::{query, respond},
    images::{Format, Original, VariantSpec},
    pipeline::Instance,
    server::Reply,
};

/// The size of the dashboard's pictures, in pixels.
const THUMBNAIL: u16 = 96;

impl Admin {
    /// The face that a path names.
    pub(super) fn face(
        &self,
        parameters: &Parameters<'_>,
    ) -> Result<(&Arc<Instance>, Subject), Error> {
        let instance = self.instance(parameters.instance)?;
        let jid = query::segment(parameters.jid).map_err(|_| Error::Encoding)?;
        Ok((instance, jid.parse().map_err(Error::Jid)?))
    }

    pub(super) async fn show_entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let entry = self.faces.entry(instance, subject).await?;
        let entry = entry.ok_or(Error::NoEntry)?;
        let record = EntryRecord::new(
            instance.name(),
            &subject,
            &entry,
            self.faces.now(),
            self.faces.policy().ttl,
        );
        Ok(respond::json(&record))
    }

    /// Asks the vendor, and shows the entry then.
    pub(super) async fn refresh_entry(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
    ) -> Result<Reply, Error> {
        self.faces.look_up(instance, subject, Ask::Refresh).await?;
        self.show_entry(instance, subject).await
    }

    pub(super) async fn forget_entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Reply, Error> {
        if self.faces.forget(instance, subject).await? {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Error::NotOnDisk)
        }
    }

    /// The cached picture in a small size. Never calls the vendor.
    pub(super) async fn picture(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Reply, Error> {
        let entry = self.faces.entry(instance, subject).await?;
        let stored = entry.as_ref().and_then(|entry| entry.picture.as_ref());
        let picture = &stored.ok_or(Error::NoPicture)?.picture;
        let spec = VariantSpec {
            edge: Some(THUMBNAIL),
            format: Format::Jpeg,
        };
        let original = Original::Picture(picture.clone());
        let (media, bytes): (_, Bytes) = match self.thumbnailer.make(original, spec).await {
            Some(variant) => (variant.format.as_str(), variant.bytes.clone()),
            None => (picture.media().as_str(), picture.bytes().clone()),
        };
        let mut reply = respond::uncached(StatusCode::OK, media, bytes);
        reply.headers.add(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        );
        Ok(reply)
    }
}
