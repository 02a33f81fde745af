//! Two nodes, their shared cache and their store, and each step that any of them can take.

use std::fmt;

use linkly_core::Filled;

use crate::explore::fingerprint;
use crate::node::{CODE, Invalidation, Load, Look, Node, Slot};
use crate::protocol::{INVALIDATION, NearFill, Tier, Untelling, Way, after_far, asks_far, holds, way};
use crate::shared::{Name, Server, Space, Version};
use crate::{Key, Protection, Rules};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The store's version, which is how long its change log is.
    store: Version,
    server: Server,
    nodes: [Node; 2],
    reads: [Option<Read>; 2],
    nonce: u128,
    left: Left,
    pub(crate) wrong: Option<String>,
    /// What is worth telling of the last step.
    pub(crate) note: &'static str,
}

/// A read on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Read {
    node: usize,
    load: Slot,
    /// The oldest version that it may answer.
    floor: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    writes: u8,
    reads: u8,
    faults: u8,
    evictions: u8,
    looks: u8,
}

/// What a step was.
#[derive(Debug)]
pub(crate) struct Step(usize, String);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: {}", self.0, self.1)
    }
}

type Next = Vec<(Step, World)>;

const FIRST: Version = 1;

impl World {
    /// With nothing cached, and with the link everywhere.
    pub(crate) fn starts(rules: &Rules) -> [Self; 2] {
        let &Rules { writes, reads, faults, evictions, looks, .. } = rules;
        let node = Node { cursor: Some(FIRST), joined: true, floor: FIRST, ..Node::default() };
        let mut cold = Self {
            store: FIRST,
            server: Server::default(),
            nodes: [node.clone(), node],
            reads: [None; 2],
            nonce: 1,
            left: Left { writes, reads, faults, evictions, looks },
            wrong: None,
            note: "",
        };
        let space = Space { key: Key::Empty, position: Some(FIRST) };
        cold.server.data.spaces.insert(Name::default(), space);
        let mut warm = cold.clone();
        for space in warm.server.data.spaces.values_mut() {
            space.key = Key::Filled(0, FIRST);
        }
        for node in &mut warm.nodes {
            node.near.entry = Some(FIRST);
        }
        for world in [&mut cold, &mut warm] {
            world.server.replica = Some(world.server.data.clone());
        }
        [cold, warm]
    }

    /// The same state in one form: without numbers that nobody compares any more, and without regard to which node
    /// is which.
    pub(crate) fn normalised(mut self) -> Self {
        let name = self.server.name();
        self.server
            .data
            .spaces
            .retain(|space, _| space.drawn == name.drawn && (space.run == name.run || space.run == 0));
        if self.left.faults == 0 {
            self.server.replica = None;
        }
        for node in &mut self.nodes {
            node.known = None;
            if node.loads.iter().all(Option::is_none) {
                node.near.generation = 0;
            }
            if node.untold.is_none() && node.write.is_none() && !matches!(node.look, Some(Look::Invalidating(..))) {
                node.calls = 0;
            }
        }
        if fingerprint(&self.nodes[0]) > fingerprint(&self.nodes[1]) {
            self.nodes.swap(0, 1);
            self.reads.iter_mut().flatten().for_each(|read| read.node = 1 - read.node);
        }
        self.reads.sort_unstable();
        self
    }

    pub(crate) fn steps(&self, rules: &Rules, next: &mut Next) {
        for at in 0..self.nodes.len() {
            self.begin_read(at, next);
            for slot in 0..self.nodes[at].loads.len() {
                if let Some(load) = self.nodes[at].loads[slot] {
                    self.go_on_loading(rules, at, slot, load, next);
                }
            }
            match self.nodes[at].write {
                Some(invalidation) => self.invalidate(rules, at, invalidation, None, next),
                None if self.left.writes > 0 => self.step(at, "a write is committed", next, |world| {
                    world.left.writes -= 1;
                    world.store += 1;
                    world.nodes[at].write = Some(Invalidation::of(world.store));
                }),
                None => {}
            }
            self.look(rules, at, next);
            self.fail(at, next);
        }
    }

    fn step(&self, at: usize, what: impl Into<String>, next: &mut Next, step: impl FnOnce(&mut Self)) {
        let mut world = self.clone();
        step(&mut world);
        next.push((Step(at, what.into()), world));
    }

    /// A call to the shared cache, which can be lost, or its answer.
    fn call<A>(
        &self,
        rules: &Rules,
        at: usize,
        what: &str,
        next: &mut Next,
        call: impl Fn(&mut Space) -> A,
        then: impl Fn(&mut Self, Option<A>),
    ) {
        self.step(at, what, next, |world| {
            let answer = call(world.space(rules, at));
            then(world, Some(answer));
        });
        if self.left.faults > 0 {
            self.step(at, format!("{what}: lost on its way"), next, |world| {
                world.left.faults -= 1;
                then(world, None);
            });
            self.step(at, format!("{what}: its answer is lost"), next, |world| {
                world.left.faults -= 1;
                call(world.space(rules, at));
                then(world, None);
            });
        }
    }

    /// Where a node's call ends up: it learns the name anew when it is not the one it knows.
    fn space(&mut self, rules: &Rules, at: usize) -> &mut Space {
        let is = self.server.name();
        let known = self.nodes[at].known.get_or_insert(is);
        if rules.has(Protection::Namespace) {
            if !holds((&known.drawn, &known.run), (&is.drawn, &is.run)) {
                *known = is;
            }
        } else {
            *known = Name { run: 0, ..is };
        }
        self.server.data.spaces.entry(*known).or_default()
    }

    fn begin_read(&self, at: usize, next: &mut Next) {
        let node = &self.nodes[at];
        let Some(place) = self.reads.iter().position(Option::is_none) else { return };
        if self.left.reads == 0 || node.cursor.is_none() {
            return;
        }
        let floor = node.floor;
        self.step(at, "a read starts", next, |world| {
            world.left.reads -= 1;
            if let Some(version) = node.near.entry {
                if version < world.store {
                    world.note = "an old entry is answered within the bound";
                }
                return world.answer(at, floor, version);
            }
            let load = if let Some(&load) = node.joining.0.joinable(&CODE) {
                world.note = "a load is joined";
                load
            } else {
                let Some(load) = node.loads.iter().position(Option::is_none) else { return };
                let node = &mut world.nodes[at];
                node.loads[load] = Some(Load::Begun);
                node.joining.0.begin(CODE.clone(), load);
                load
            };
            world.reads[place] = Some(Read { node: at, load, floor });
        });
    }

    fn answer(&mut self, at: usize, floor: Version, version: Version) {
        if version < floor {
            let wrong = format!("a read on node {at} answers version {version}, and {floor} was there before it");
            self.wrong = Some(wrong);
        }
    }

    /// Ends a load and answers who waits for it.
    fn complete(&mut self, at: usize, slot: Slot, version: Version) {
        let node = &mut self.nodes[at];
        node.loads[slot] = None;
        node.joining.0.end(&CODE, |&load| load == slot);
        for place in 0..self.reads.len() {
            if let Some(read) = self.reads[place]
                && (read.node, read.load) == (at, slot)
            {
                self.reads[place] = None;
                self.answer(at, read.floor, version);
            }
        }
    }

    fn fill_near(&mut self, rules: &Rules, at: usize, generation: u8, version: Version) {
        let compares = rules.has(Protection::Generation);
        if self.nodes[at].near.fill(generation, version, compares) == Filled::Voided {
            self.note = "the near cache voids a fill";
        }
    }

    fn go_on_loading(&self, rules: &Rules, at: usize, slot: Slot, load: Load, next: &mut Next) {
        let node = &self.nodes[at];
        let becomes = |world: &mut Self, load| world.nodes[at].loads[slot] = Some(load);
        let is_untold = node.untold.is_some() && rules.has(Protection::Untold);
        match load {
            Load::Begun => self.step(at, "the near cache is asked", next, |world| match node.near.entry {
                Some(version) => world.complete(at, slot, version),
                None => becomes(world, Load::Leased(node.near.generation)),
            }),
            Load::Leased(generation) if !asks_far(true, is_untold) => {
                self.step(at, "the far cache is left out", next, |world| {
                    world.note = "the far cache is left out";
                    becomes(world, Load::Reading(generation, None));
                });
                if node.untold.is_some_and(|untold| untold.failed) {
                    self.tell_again(rules, at, next);
                }
            }
            Load::Leased(generation) => {
                let nonce = if rules.has(Protection::Nonce) { self.nonce } else { 1 };
                let look_up = |space: &mut Space| space.key.look_up(nonce);
                self.call(rules, at, "the far cache is asked", next, look_up, |world, answer| {
                    world.nonce += u128::from(answer == Some(Err(nonce)));
                    becomes(
                        world,
                        match answer {
                            Some(Ok(version)) => Load::Found(generation, version),
                            Some(Err(nonce)) => Load::Reading(generation, Some(nonce)),
                            None => Load::Reading(generation, None),
                        },
                    );
                });
            }
            Load::Found(generation, version) => self.step(at, "a copy for the near cache", next, |world| {
                world.fill_near(rules, at, generation, version);
                world.complete(at, slot, version);
            }),
            Load::Reading(generation, nonce) => self.step(at, "the store is read", next, |world| {
                let version = world.store;
                match (way(nonce.is_some(), is_untold), nonce) {
                    (Way::Far, Some(nonce)) => becomes(world, Load::Filling(generation, nonce, version)),
                    (Way::Alone, _) => becomes(world, Load::Filled(generation, NearFill::Alone, version)),
                    _ => {
                        world.note = "a fill goes nowhere";
                        world.complete(at, slot, version);
                    }
                }
            }),
            Load::Filling(generation, nonce, version) => {
                let fill = |space: &mut Space| space.key.fill(nonce, version);
                self.call(rules, at, "the far cache is filled", next, fill, |world, answer| {
                    if answer == Some(Filled::Voided) {
                        world.note = "the far cache voids a fill";
                    }
                    becomes(world, Load::Filled(generation, after_far(answer), version));
                });
            }
            Load::Filled(generation, fill, version) => self.step(at, "the near cache is filled", next, |world| {
                if fill != NearFill::Nothing {
                    world.fill_near(rules, at, generation, version);
                }
                world.complete(at, slot, version);
            }),
        }
    }

    /// The far cache is told what it has missed.
    fn tell_again(&self, rules: &Rules, at: usize, next: &mut Next) {
        let call = self.nodes[at].calls + 1;
        self.call(
            rules,
            at,
            "the far cache is told again",
            next,
            |space| space.key.invalidate(),
            |world, answer| {
                let node = &mut world.nodes[at];
                node.calls = call;
                if answer.is_some() {
                    world.note = "the far cache is told later";
                    node.untold = node.untold.filter(|untold| untold.outlasts(call));
                }
            },
        );
    }

    fn detach(&mut self, rules: &Rules, at: usize) {
        if rules.has(Protection::Detaching) && self.nodes[at].joining.0.detach(&CODE).is_some() {
            self.note = "a load is detached";
        }
    }

    /// The next step of a write's invalidation, or of that of a look that has found this position.
    fn invalidate(&self, rules: &Rules, at: usize, it: Invalidation, look: Option<Option<Version>>, next: &mut Next) {
        let proceed = |world: &mut Self, it: Invalidation| {
            let it = Invalidation { step: it.step + 1, ..it };
            match look {
                None => world.nodes[at].write = Some(it),
                Some(position) => world.nodes[at].look = Some(Look::Invalidating(position, it)),
            }
        };
        if it.step == 0 {
            let mut begun = self.clone();
            begun.detach(rules, at);
            let node = &mut begun.nodes[at];
            node.calls += 1;
            node.untold = Some(Untelling::begun(node.calls));
            let it = Invalidation { call: node.calls, step: 1, ..it };
            return begun.invalidate(rules, at, it, look, next);
        }
        let mut tiers = &INVALIDATION[..];
        if !rules.has(Protection::NearFirst) {
            tiers = &tiers[1..];
        }
        if !rules.has(Protection::NearLast) {
            tiers = &tiers[..tiers.len() - 1];
        }
        match tiers.get(it.step - 1) {
            Some(Tier::Far) => {
                if self.left.faults > 0 {
                    self.step(at, "an invalidation is given up", next, |world| {
                        world.left.faults -= 1;
                        world.note = "an invalidation is given up";
                        if let Some(untold) = &mut world.nodes[at].untold {
                            untold.fail(it.call);
                        }
                        proceed(world, Invalidation { step: tiers.len(), ..it });
                    });
                }
                let remove = |space: &mut Space| space.key.invalidate();
                self.call(rules, at, "the far cache is invalidated", next, remove, |world, answer| {
                    let node = &mut world.nodes[at];
                    if answer.is_some() {
                        node.untold = node.untold.filter(|untold| untold.outlasts(it.call));
                    } else if let Some(untold) = &mut node.untold {
                        untold.fail(it.call);
                    }
                    proceed(world, Invalidation { far_was_told: answer.is_some(), ..it });
                });
            }
            Some(Tier::Near) => self.step(at, "the near cache is invalidated", next, |world| {
                world.nodes[at].near.invalidate();
                proceed(world, it);
            }),
            None => self.step(at, "an invalidation ends", next, |world| {
                world.detach(rules, at);
                let node = &mut world.nodes[at];
                if look.is_none() || node.joined {
                    node.floor = node.floor.max(it.version);
                }
                match look {
                    None => node.write = None,
                    // What could not be invalidated is read again.
                    Some(_) if !it.far_was_told => node.look = None,
                    Some(position) => {
                        node.cursor = Some(it.version);
                        node.look = Some(Look::Advancing(position, it.version));
                    }
                }
            }),
        }
    }

    /// The next step of a look at the change log.
    fn look(&self, rules: &Rules, at: usize, next: &mut Next) {
        let node = &self.nodes[at];
        match node.look {
            None if self.left.looks > 0 => self.step(at, "a look at the change log", next, |world| {
                world.left.looks -= 1;
                world.nodes[at].look = Some(Look::Begun);
            }),
            None => {}
            Some(Look::Begun) => {
                let position = |space: &mut Space| space.position;
                self.call(rules, at, "the position is asked for", next, position, |world, answer| {
                    world.join(rules, at, answer);
                });
            }
            Some(Look::Clearing(end)) => {
                self.step(at, "everything is cleared", next, |world| {
                    world.server.data.drawn += 1;
                    world.nodes[at].known = None;
                    world.nodes[at].near.invalidate();
                    world.nodes[at].untold = None;
                    world.detach(rules, at);
                    let node = &mut world.nodes[at];
                    (node.cursor, node.joined, node.look) = (Some(end), true, Some(Look::Reading(None)));
                    world.note = "a node that starts clears";
                });
                if self.left.faults > 0 {
                    self.step(at, "the clear is lost", next, |world| {
                        world.left.faults -= 1;
                        world.nodes[at].look = None;
                    });
                }
            }
            Some(Look::Reading(position)) => self.step(at, "the change log is read", next, |world| {
                let (end, node) = (world.store, &mut world.nodes[at]);
                let begun = node.cursor.unwrap_or(end);
                node.look = Some(if begun < end && rules.has(Protection::ChangeLog) {
                    Look::Invalidating(position, Invalidation::of(end))
                } else {
                    if node.joined {
                        node.floor = node.floor.max(end);
                    }
                    Look::Advancing(position, end)
                });
            }),
            Some(Look::Invalidating(position, it)) => self.invalidate(rules, at, it, Some(position), next),
            Some(Look::Advancing(from, to)) if node.joined && from != Some(to) => {
                let advance = |space: &mut Space| {
                    if space.position == from {
                        space.position = Some(to);
                    }
                };
                self.call(rules, at, "the position is moved", next, advance, |world, _| world.nodes[at].look = None);
            }
            Some(Look::Advancing(..)) => self.step(at, "a look ends", next, |world| world.nodes[at].look = None),
        }
    }

    /// What a look does with the position; `None` when the far cache could not be asked.
    fn join(&mut self, rules: &Rules, at: usize, answer: Option<Option<Version>>) {
        let (end, node) = (self.store, &mut self.nodes[at]);
        if node.joined {
            node.look = Some(Look::Reading(answer.flatten()));
            return;
        }
        let answer = if rules.has(Protection::Position) { answer } else { Some(Some(end)) };
        match answer {
            Some(Some(position)) => {
                if node.cursor.is_some() {
                    node.near.invalidate();
                    self.detach(rules, at);
                }
                let node = &mut self.nodes[at];
                (node.cursor, node.joined, node.look) = (Some(position), true, Some(Look::Reading(Some(position))));
                if position < end {
                    self.note = "a node that starts replays";
                }
            }
            Some(None) => node.look = Some(Look::Clearing(end)),
            None => {
                node.cursor.get_or_insert(end);
                node.look = Some(Look::Reading(None));
            }
        }
    }

    /// What else can happen.
    fn fail(&self, at: usize, next: &mut Next) {
        if self.left.evictions > 0 {
            let evicting = Left { evictions: self.left.evictions - 1, ..self.left };
            if self.nodes[at].near.entry.is_some() {
                self.step(at, "its entry is evicted", next, |world| {
                    world.left = evicting;
                    world.nodes[at].near.entry = None;
                });
            }
            for (name, space) in self.server.data.spaces.iter().filter(|_| at == 0) {
                if space.key != Key::Empty {
                    self.step(at, "the far cache evicts a key", next, |world| {
                        world.left = evicting;
                        world.server.data.spaces.entry(*name).or_default().key = Key::Empty;
                    });
                }
                if space.position.is_some() {
                    self.step(at, "the far cache evicts the position", next, |world| {
                        world.left = evicting;
                        world.server.data.spaces.entry(*name).or_default().position = None;
                    });
                }
            }
        }
        if self.left.faults == 0 {
            return;
        }
        let failing = Left { faults: self.left.faults - 1, ..self.left };
        self.step(at, "killed, and started again", next, |world| {
            world.left = failing;
            world.reads = world.reads.map(|read| read.filter(|read| read.node != at));
            world.nodes[at] = Node { look: Some(Look::Begun), ..Node::default() };
            world.note = if self.nodes[at].write.is_some() { "a writer is killed" } else { "" };
        });
        if at == 0
            && let Some(replica) = &self.server.replica
        {
            self.step(at, "Redis fails over to older data", next, |world| {
                world.left = failing;
                world.server.fail_over();
                world.note = "Redis fails over";
            });
            if *replica != self.server.data {
                self.step(at, "the replica has all", next, |world| {
                    world.server.replica = Some(world.server.data.clone());
                });
            }
        }
    }
}
