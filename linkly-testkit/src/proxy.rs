//! A TCP proxy that does to connections what networks do.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::port::Port;
use crate::wait;

const BUFFER: usize = 16_384;

/// A proxy in front of a server, through which a test's client connects. It forwards until it is told otherwise.
///
/// It knows no protocol. A *request* is what a client sends in one go, until the server sends something: a
/// connection's start may be several (three for Postgres with a password), and what is pipelined is one.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    port: Port,
    server: SocketAddr,
    state: Mutex<State>,
    /// Notified when `door` or `listening` changes.
    door_moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    door: Door,
    /// Whether the acceptor has followed the door.
    listening: bool,
    answers: Answers,
    /// How many more requests there are until one is cut off from its answer.
    requests_until_cut: Option<usize>,
    /// How many requests have been cut off from their answers.
    cuts: usize,
    /// How many requests have had their answers dropped.
    drops: usize,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
}

/// What becomes of new connections.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    Refusing,
    /// For good: the proxy is dropped.
    Gone,
}

/// What becomes of answers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Answers {
    #[default]
    Forwarded,
    Delayed(Duration),
    Dropped,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// The client has sent something since the server last did.
    asked: bool,
    /// The answer to what it asked is not to reach it.
    doomed: bool,
    /// An answer has been dropped, so nothing that follows would make sense.
    has_hole: bool,
}

/// What to do with a piece of an answer.
enum Piece {
    Forward,
    ForwardAfter(Duration),
    Drop,
    Cut,
}

impl Connection {
    fn cut(&self) {
        // An error means that the other side was faster.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Proxy {
    /// Starts a proxy in front of a server, which need not run.
    ///
    /// # Panics
    ///
    /// When there is no port for it.
    pub fn in_front_of(server: SocketAddr) -> Self {
        let (port, state, door_moved) = (Port::claim(), Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { port, server, state, door_moved });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept()
        });
        shared.move_door(Door::Open);
        Self { shared, acceptor: Some(acceptor) }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    /// The server's URL by way of the proxy.
    pub fn url(&self, url: &str) -> String {
        let server = self.shared.server.to_string();
        assert!(url.contains(&server), "the URL must be one of {server}");
        url.replace(&server, &self.address().to_string())
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.shared.state().connections.values().for_each(Connection::cut);
    }

    /// Cuts the connection of the `nth` request from now (1 is the next), counted over all connections, when the server
    /// has done it and before any byte of the answer reaches the client. [`cuts`](Self::cuts) tells when it
    /// has happened; other requests go on as before.
    pub fn cut_before_answer(&self, nth: usize) {
        assert!(nth > 0, "the next request is number 1");
        self.shared.state().requests_until_cut = Some(nth);
    }

    /// How many requests have been cut off from their answers by [`cut_before_answer`](Self::cut_before_answer).
    pub fn cuts(&self) -> usize {
        self.shared.state().cuts
    }

    /// Drops what the server sends: requests are done, and their clients wait. [`drops`](Self::drops) tells when it
    /// has happened.
    pub fn drop_answers(&self) {
        self.shared.state().answers = Answers::Dropped;
    }

    /// How many requests have had their answers dropped by [`drop_answers`](Self::drop_answers).
    pub fn drops(&self) -> usize {
        self.shared.state().drops
    }

    /// Delays whatever the server sends.
    pub fn delay(&self, delay: Duration) {
        self.shared.state().answers = Answers::Delayed(delay);
    }

    /// Refuses new connections. Those there are go on.
    pub fn refuse(&self) {
        self.shared.move_door(Door::Refusing);
    }

    /// Forwards again, and lets new connections in. Connections whose answers were dropped are cut.
    pub fn resume(&self) {
        let mut state = self.shared.state();
        state.answers = Answers::Forwarded;
        state.requests_until_cut = None;
        state.connections.values().filter(|connection| connection.has_hole).for_each(Connection::cut);
        drop(state);
        self.shared.move_door(Door::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.move_door(Door::Gone);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        as_long_as: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.door_moved.wait_while(state, as_long_as).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the acceptor has followed.
    fn move_door(&self, door: Door) {
        let mut state = self.state();
        state.door = door;
        self.door_moved.notify_all();
        if state.listening && door != Door::Open {
            // It waits for a connection, and looks at the door when it has one.
            let _ = TcpStream::connect(self.port.address());
        }
        drop(self.wait(state, |state| state.listening != (door == Door::Open)));
        if door != Door::Open {
            // A process that another thread is about to start has the socket too, until it becomes its program.
            wait::for_answer(|| TcpStream::connect(self.port.address()).err());
        }
    }

    /// Takes connections until the door is gone.
    fn accept(self: &Arc<Self>) {
        loop {
            let state = self.wait(self.state(), |state| state.door == Door::Refusing);
            if state.door == Door::Gone {
                return;
            }
            drop(state);
            let listener = TcpListener::bind(self.port.address()).expect("the port was claimed");
            self.set_listening(true);
            while let Ok((client, _)) = listener.accept() {
                if self.state().door != Door::Open {
                    break;
                }
                let shared = Arc::clone(self);
                thread::spawn(move || shared.serve(&client));
            }
            drop(listener);
            self.set_listening(false);
        }
    }

    fn set_listening(&self, listening: bool) {
        self.state().listening = listening;
        self.door_moved.notify_all();
    }

    /// Forwards one connection until it ends. A client that cannot be served finds it closed.
    fn serve(&self, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(self.server) else { return };
        let Ok(id) = self.enter(client, &server) else { return };
        thread::scope(|scope| {
            scope.spawn(|| {
                // An error is an end like any other: the connection was cut.
                let _ = self.forward_requests(id, client, &server);
                let _ = server.shutdown(Shutdown::Write);
            });
            let _ = self.forward_answers(id, client, &server);
            self.leave(id);
        });
    }

    fn enter(&self, client: &TcpStream, server: &TcpStream) -> io::Result<u64> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client, server) = (client.try_clone()?, server.try_clone()?);
        let mut state = self.state();
        if state.door == Door::Gone {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let id = state.next_connection;
        state.next_connection += 1;
        state.connections.insert(id, Connection { client, server, asked: false, doomed: false, has_hole: false });
        Ok(id)
    }

    fn leave(&self, id: u64) {
        if let Some(connection) = self.state().connections.remove(&id) {
            connection.cut();
        }
    }

    fn forward_requests(&self, id: u64, mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            let length = client.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            self.state().asked(id);
            server.write_all(&buffer[..length])?;
        }
    }

    fn forward_answers(&self, id: u64, mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            let length = server.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            let piece = self.state().answered(id);
            match piece {
                Piece::Forward => client.write_all(&buffer[..length])?,
                Piece::ForwardAfter(delay) => {
                    thread::sleep(delay);
                    client.write_all(&buffer[..length])?;
                }
                Piece::Drop => {}
                Piece::Cut => {
                    // A long answer may begin before the request is done. It is when the server has come to the end of
                    // what it was sent, and closes.
                    server.shutdown(Shutdown::Write)?;
                    server.set_read_timeout(Some(wait::PATIENCE))?;
                    while server.read(&mut buffer)? > 0 {}
                    self.state().cuts += 1;
                    return Ok(());
                }
            }
        }
    }
}

impl State {
    fn asked(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.asked, true) {
            return;
        }
        self.requests_until_cut = match self.requests_until_cut {
            Some(1) => {
                connection.doomed = true;
                None
            }
            until => until.map(|requests| requests - 1),
        };
    }

    fn answered(&mut self, id: u64) -> Piece {
        let Some(connection) = self.connections.get_mut(&id) else { return Piece::Drop };
        let begins = std::mem::take(&mut connection.asked);
        match self.answers {
            _ if connection.doomed => Piece::Cut,
            Answers::Forwarded => Piece::Forward,
            Answers::Delayed(delay) => Piece::ForwardAfter(delay),
            Answers::Dropped => {
                connection.has_hole = true;
                self.drops += usize::from(begins);
                Piece::Drop
            }
        }
    }
}
