//! The order in which an instance's wanted faces are fetched. A pure data structure: it knows no clock, no
//! budget and no task.
//!
//! * Classes go by urgency. The wishes of a class cost the same, so a class waits as a whole for its budget.
//! * In a class, clients take turns, so that one who wants everything does not starve one who wants a few.
//! * Of a client's wishes, the newest page goes first, and a page from its top down. The first faces of a page
//!   are the ones that are looked at; and a face that is told its place keeps it while its page loads.
//! * A place that a request waits for is kept: whoever comes later does not get ahead of it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use crate::{
    avatar::{Ask, Key, Subject},
    clock::Moment,
    limits::{CallsAhead, Priority},
};

/// The face of a wish, and how it is wanted. There is one wish for each.
pub(super) type WishId = (Key, Ask);

/// A face that a client wants, and that has no call yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) id: WishId,
    pub(super) subject: Subject,
    pub(super) class: CallClass,
    /// The client, by the address that its limits are kept under.
    pub(super) client: Option<IpAddr>,
    /// When the face was last wanted.
    pub(super) wanted_at: Moment,
}

/// Wishes of the same urgency and cost, in the order in which they are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CallClass {
    pub(super) priority: Priority,
    /// Whether the call makes the vendor bypass its cache, which costs a refresh as well.
    pub(super) with_refresh: bool,
}

/// The wishes of an instance.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Wishes whose place is kept, in their order.
    scheduled: VecDeque<Wish>,
    /// The other wishes. No class is empty.
    classes: BTreeMap<CallClass, VecDeque<ClientWishes>>,
    /// Where each of the other wishes is.
    places: HashMap<WishId, (CallClass, Option<IpAddr>)>,
}

/// The wishes of a client in a class. The clients of a class stand in the order of their turns.
#[derive(Debug)]
struct ClientWishes {
    client: Option<IpAddr>,
    /// The newest first. None is empty.
    pages: VecDeque<Page>,
}

/// Wishes that belong together.
#[derive(Debug)]
struct Page {
    began_at: Moment,
    wishes: VecDeque<Wish>,
}

/// Wishes of a client within this time belong to one page. A browser with six connections asks for 500 faces in
/// less than that.
const PAGE: Duration = Duration::from_secs(10);

// === impl Queue ===

impl Queue {
    /// The number of wishes.
    pub(super) fn len(&self) -> usize {
        self.scheduled.len() + self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a wish, unless it is there and of the current page of its client.
    pub(super) fn insert(&mut self, wish: Wish) {
        if self.scheduled.iter().any(|kept| kept.id == wish.id) {
            return;
        }
        let place = (wish.class, wish.client);
        if self.places.get(&wish.id) == Some(&place) {
            let page = self.turn(place).and_then(|turn| turn.pages.front_mut());
            let page = page.filter(|page| page.takes(wish.wanted_at));
            let mut known = page.into_iter().flat_map(|page| &mut page.wishes);
            if let Some(known) = known.find(|known| known.id == wish.id) {
                known.wanted_at = wish.wanted_at;
                return;
            }
        }
        self.remove(wish.id);
        self.places.insert(wish.id, place);
        if self.turn(place).is_none() {
            let turns = self.classes.entry(place.0).or_default();
            turns.push_back(ClientWishes {
                client: place.1,
                pages: VecDeque::new(),
            });
        }
        if let Some(turn) = self.turn(place) {
            turn.add(wish);
        }
    }

    /// Removes the oldest wish of the client that has the most in the last class.
    pub(super) fn evict(&mut self) -> Option<Wish> {
        let turns = self.classes.values().next_back()?;
        let longest = turns.iter().max_by_key(|turn| turn.len())?;
        let wishes = longest.wishes();
        let oldest = wishes.min_by_key(|wish| wish.wanted_at)?.id;
        self.remove(oldest)
    }

    /// Removes a wish.
    pub(super) fn remove(&mut self, id: WishId) -> Option<Wish> {
        if let Some(index) = self.scheduled.iter().position(|wish| wish.id == id) {
            return self.scheduled.remove(index);
        }
        let place = *self.places.get(&id)?;
        let turn = self.turn(place)?;
        let mut removed = None;
        for page in &mut turn.pages {
            if let Some(index) = page.wishes.iter().position(|wish| wish.id == id) {
                removed = page.wishes.remove(index);
                break;
            }
        }
        self.places.remove(&id);
        self.remove_empty(place.0);
        removed
    }

    /// Removes the wishes that were last wanted more than `limit` ago, and returns them.
    pub(super) fn expire(&mut self, now: Moment, limit: Duration) -> Vec<Wish> {
        let wishes = self.scheduled.iter().chain(self.waiting());
        let expired = wishes.filter(|wish| now.since(wish.wanted_at) > limit);
        let expired: Vec<_> = expired.map(|wish| wish.id).collect();
        let removed = expired.into_iter().filter_map(|id| self.remove(id));
        removed.collect()
    }

    pub(super) fn contains(&self, id: WishId) -> bool {
        self.places.contains_key(&id) || self.scheduled.iter().any(|wish| wish.id == id)
    }

    /// The calls ahead of a wish; all calls if it is not here.
    pub(super) fn ahead(&self, id: WishId) -> CallsAhead {
        let mut ahead = CallsAhead::default();
        for wish in &self.scheduled {
            if wish.id == id {
                return ahead;
            }
            wish.class.add_to(&mut ahead, 1);
        }
        let place = self.places.get(&id);
        for (class, turns) in &self.classes {
            match place {
                Some((own, client)) if own == class => {
                    class.add_to(&mut ahead, wishes_ahead(turns, *client, id));
                    return ahead;
                }
                _ => class.add_to(&mut ahead, turns.iter().map(ClientWishes::len).sum()),
            }
        }
        ahead
    }

    /// The first wishes, in their order, each with the calls ahead of it.
    pub(super) fn first(&self, count: usize) -> Vec<(&Wish, CallsAhead)> {
        let classes = self.classes.values();
        let unscheduled = classes.flat_map(|turns| first_of_class(turns, count));
        let wishes = self.scheduled.iter().chain(unscheduled).take(count);
        let mut ahead = CallsAhead::default();
        let mut first = Vec::new();
        for wish in wishes {
            first.push((wish, ahead));
            wish.class.add_to(&mut ahead, 1);
        }
        first
    }

    /// The calls that are wanted.
    pub(super) fn all(&self) -> CallsAhead {
        let mut all = CallsAhead::default();
        for wish in self.scheduled.iter().chain(self.waiting()) {
            wish.class.add_to(&mut all, 1);
        }
        all
    }

    /// The class of the wish that is next, if no wish of the `blocked` classes is.
    pub(super) fn next_class(&self, blocked: &[CallClass]) -> Option<CallClass> {
        let scheduled = self.scheduled.iter().map(|wish| wish.class);
        let mut classes = scheduled.chain(self.classes.keys().copied());
        classes.find(|class| !blocked.contains(class))
    }

    /// Removes the first wish of a class.
    pub(super) fn pop(&mut self, class: CallClass) -> Option<Wish> {
        if let Some(index) = self.scheduled.iter().position(|wish| wish.class == class) {
            return self.scheduled.remove(index);
        }
        self.pop_unscheduled(class)
    }

    /// Keeps the place of a wish, and so the places of all wishes ahead of it.
    pub(super) fn keep_place(&mut self, id: WishId) {
        while let Some((own, _)) = self.places.get(&id).copied() {
            let first = self.classes.keys().next().copied().unwrap_or(own);
            let Some(wish) = self.pop_unscheduled(first) else {
                return;
            };
            self.scheduled.push_back(wish);
        }
    }

    fn pop_unscheduled(&mut self, class: CallClass) -> Option<Wish> {
        let turns = self.classes.get_mut(&class)?;
        let mut turn = turns.pop_front()?;
        let wish = turn.pages.front_mut()?.wishes.pop_front()?;
        turns.push_back(turn);
        self.places.remove(&wish.id);
        self.remove_empty(class);
        Some(wish)
    }

    fn remove_empty(&mut self, class: CallClass) {
        if let Some(turns) = self.classes.get_mut(&class) {
            for turn in turns.iter_mut() {
                turn.pages.retain(|page| !page.wishes.is_empty());
            }
            turns.retain(|turn| !turn.pages.is_empty());
            if turns.is_empty() {
                self.classes.remove(&class);
            }
        }
    }

    fn turn(&mut self, (class, client): (CallClass, Option<IpAddr>)) -> Option<&mut ClientWishes> {
        let turns = self.classes.get_mut(&class)?;
        turns.iter_mut().find(|turn| turn.client == client)
    }

    fn waiting(&self) -> impl Iterator<Item = &Wish> {
        self.classes
            .values()
            .flatten()
            .flat_map(ClientWishes::wishes)
    }
}

/// The number of wishes of a class that go before one of them. In each round, every client has a turn.
fn wishes_ahead(turns: &VecDeque<ClientWishes>, client: Option<IpAddr>, id: WishId) -> usize {
    let own = turns.iter().position(|turn| turn.client == client);
    let own = own.unwrap_or(turns.len());
    let round = turns.get(own).and_then(|turn| turn.place(id)).unwrap_or(0);
    let others = turns.iter().enumerate().map(|(index, turn)| {
        let rounds = if index < own { round + 1 } else { round };
        turn.len().min(rounds)
    });
    others.sum()
}

/// The first `count` wishes of a class, in their order. No more clients than that can have a turn.
fn first_of_class(turns: &VecDeque<ClientWishes>, count: usize) -> Vec<&Wish> {
    let mut clients: Vec<_> = turns.iter().take(count).map(ClientWishes::wishes).collect();
    let mut first = Vec::new();
    while first.len() < count {
        let before = first.len();
        first.extend(clients.iter_mut().filter_map(Iterator::next));
        if first.len() == before {
            break;
        }
    }
    first.truncate(count);
    first
}

// === impl ClientWishes ===

impl ClientWishes {
    fn len(&self) -> usize {
        self.pages.iter().map(|page| page.wishes.len()).sum()
    }

    fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.pages.iter().flat_map(|page| &page.wishes)
    }

    fn place(&self, id: WishId) -> Option<usize> {
        self.wishes().position(|wish| wish.id == id)
    }

    fn add(&mut self, wish: Wish) {
        match self.pages.front_mut() {
            Some(page) if page.takes(wish.wanted_at) => page.wishes.push_back(wish),
            _ => self.pages.push_front(Page {
                began_at: wish.wanted_at,
                wishes: VecDeque::from([wish]),
            }),
        }
    }
}

impl Page {
    fn takes(&self, wanted_at: Moment) -> bool {
        wanted_at.since(self.began_at) < PAGE
    }
}

impl CallClass {
    fn add_to(self, ahead: &mut CallsAhead, count: usize) {
        ahead.add(self.priority, self.with_refresh, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const VIEW: CallClass = CallClass {
        priority: Priority::Interactive,
        with_refresh: false,
    };
    const REFRESH: CallClass = CallClass {
        priority: Priority::Refresh,
        with_refresh: true,
    };
    const BACKGROUND: CallClass = CallClass {
        priority: Priority::Background,
        with_refresh: false,
    };

    fn at(second: u64) -> Moment {
        Moment::default() + Duration::from_secs(second)
    }

    fn wish(number: u16, client: u8, class: CallClass, second: u64) -> Wish {
        let subject: Subject = format!("628{number:08}").parse().unwrap();
        Wish {
            id: (Key::new("sales", &subject), Ask::View),
            subject,
            class,
            client: Some(Ipv4Addr::new(192, 0, 2, client).into()),
            wanted_at: at(second),
        }
    }

    /// The numbers of all wishes, in their order.
    fn drain(queue: &mut Queue) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let Some(class) = queue.next_class(&[]) {
            let wish = queue.pop(class).unwrap();
            numbers.push(wish.subject.as_str()[3..11].parse().unwrap());
        }
        numbers
    }

    fn queue(wishes: impl IntoIterator<Item = Wish>) -> Queue {
        let mut queue = Queue::default();
        for wish in wishes {
            queue.insert(wish);
        }
        queue
    }

    #[test]
    fn urgent_lanes_go_first() {
        let mut queue = queue([
            wish(1, 1, BACKGROUND, 0),
            wish(2, 1, REFRESH, 0),
            wish(3, 1, VIEW, 0),
        ]);
        assert_eq!(drain(&mut queue), [3, 2, 1]);
    }

    #[test]
    fn the_newest_page_goes_first_and_from_its_top_down() {
        let mut queue = queue([
            wish(1, 1, VIEW, 0),
            wish(2, 1, VIEW, 1),
            wish(3, 1, VIEW, 60),
            wish(4, 1, VIEW, 61),
        ]);
        assert_eq!(drain(&mut queue), [3, 4, 1, 2]);
    }

    #[test]
    fn a_face_that_is_wanted_again_is_of_the_new_page_and_not_there_twice() {
        let mut queue = queue([
            wish(1, 1, VIEW, 0),
            wish(2, 1, VIEW, 0),
            wish(2, 1, VIEW, 60),
            wish(2, 1, VIEW, 61),
        ]);
        assert_eq!(queue.len(), 2);
        assert_eq!(drain(&mut queue), [2, 1]);
    }

    #[test]
    fn a_client_that_wants_everything_takes_turns_with_one_that_wants_a_few() {
        let everything = (0..1_000).map(|number| wish(number, 1, VIEW, 0));
        let few = (2_000..2_005).map(|number| wish(number, 2, VIEW, 1));
        let order = drain(&mut queue(everything.chain(few)));
        let last = order.iter().position(|number| *number == 2_004).unwrap();
        assert_eq!(last, 9);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_wish_of_the_last_lane_and_the_greediest_client() {
        let mut queue = queue([
            wish(1, 1, VIEW, 0),
            wish(2, 2, BACKGROUND, 1),
            wish(3, 1, BACKGROUND, 2),
            wish(4, 1, BACKGROUND, 60),
        ]);
        assert_eq!(queue.evict(), Some(wish(3, 1, BACKGROUND, 2)));
        assert_eq!(drain(&mut queue), [1, 2, 4]);
    }

    #[test]
    fn a_place_that_is_kept_is_not_overtaken() {
        let mut queue = queue([wish(1, 1, VIEW, 0), wish(2, 1, VIEW, 0)]);
        queue.keep_place(wish(2, 1, VIEW, 0).id);
        queue.insert(wish(3, 2, VIEW, 60));
        assert_eq!(drain(&mut queue), [1, 2, 3]);
    }

    #[test]
    fn a_lane_without_budget_does_not_hold_up_the_others() {
        let queue = queue([wish(1, 1, REFRESH, 0), wish(2, 1, BACKGROUND, 0)]);
        assert_eq!(queue.next_class(&[]), Some(REFRESH));
        assert_eq!(queue.next_class(&[REFRESH]), Some(BACKGROUND));
        assert_eq!(queue.next_class(&[REFRESH, BACKGROUND]), None);
    }

    #[test]
    fn a_wish_ends_when_it_was_last_wanted_too_long_ago() {
        let mut queue = queue([wish(1, 1, VIEW, 0), wish(2, 1, VIEW, 60)]);
        queue.keep_place(wish(2, 1, VIEW, 60).id);
        let expired = queue.expire(at(90), Duration::from_secs(60));
        assert_eq!(expired, [wish(1, 1, VIEW, 0)]);
        assert_eq!(drain(&mut queue), [2]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Wish),
        Remove(u16),
        Keep(u16),
        Pop,
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop_oneof![Just(VIEW), Just(REFRESH), Just(BACKGROUND)];
        prop_oneof![
            6 => (0..20_u16, 0..4_u8, class, 0..40_u64)
                .prop_map(|(number, client, class, second)| {
                    Step::Insert(wish(number, client, class, second))
                }),
            1 => (0..20_u16).prop_map(Step::Remove),
            1 => (0..20_u16).prop_map(Step::Keep),
            1 => Just(Step::Pop),
            1 => Just(Step::Evict),
        ]
    }

    proptest! {
        /// Every wish comes as many calls later as it was told, none is lost and none is there twice.
        #[test]
        fn each_wish_has_the_place_that_it_is_told(steps in vec(step(), 0..80)) {
            let mut queue = Queue::default();
            for step in steps {
                let id = |number| wish(number, 1, VIEW, 0).id;
                let before = queue.len();
                match step {
                    Step::Insert(wish) => queue.insert(wish),
                    Step::Remove(number) => {
                        queue.remove(id(number));
                    }
                    Step::Keep(number) => {
                        queue.keep_place(id(number));
                        prop_assert_eq!(queue.len(), before);
                    }
                    Step::Pop => {
                        let class = queue.next_class(&[]);
                        let popped = class.and_then(|class| queue.pop(class));
                        prop_assert_eq!(popped.is_some(), before > 0);
                    }
                    Step::Evict => {
                        queue.evict();
                    }
                }
            }
            let ids = queue.scheduled.iter().chain(queue.waiting());
            let told: HashMap<_, _> = ids.map(|wish| (wish.id, queue.ahead(wish.id))).collect();
            prop_assert_eq!(told.len(), queue.len());
            let first = queue.first(7);
            prop_assert_eq!(first.len(), queue.len().min(7));
            let first: Vec<_> = first.into_iter().map(|(wish, ahead)| (wish.id, ahead)).collect();
            let mut first = first.into_iter();
            let mut ahead = CallsAhead::default();
            while let Some(class) = queue.next_class(&[]) {
                let popped = queue.pop(class).unwrap();
                prop_assert_eq!(told[&popped.id], ahead);
                if let Some(first) = first.next() {
                    prop_assert_eq!(first, (popped.id, ahead));
                }
                popped.class.add_to(&mut ahead, 1);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(ahead.calls as usize, told.len());
        }
    }
}
