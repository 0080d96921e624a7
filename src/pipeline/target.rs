//! A face that is to be looked up or fetched.

use std::sync::Arc;

use super::instance::Instance;
use crate::{
    avatar::{Key, Subject},
    upstream::UnsupportedSubject,
};

/// A face of an instance, with its key in the cache.
pub(super) struct Target<'a> {
    pub(super) instance: &'a Arc<Instance>,
    /// As the vendor is asked for it: by the number, if that is known.
    pub(super) subject: Subject,
    /// The person, under whose name the face is kept.
    pub(super) person: Subject,
    pub(super) key: Key,
}

impl<'a> Target<'a> {
    pub(super) fn new(
        instance: &'a Arc<Instance>,
        subject: Subject,
    ) -> Result<Self, UnsupportedSubject> {
        let subject = instance.resolve_own(subject)?;
        let subject = instance.identities().resolve(subject);
        let person = instance.person(subject);
        Ok(Self {
            instance,
            subject,
            person,
            key: Key::new(instance.cache_name(), &person),
        })
    }
}
