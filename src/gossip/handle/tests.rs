//! Members on the loopback interface.

use super::*;
use tokio::net::{TcpStream, UdpSocket};
use uuid::Uuid;

fn fast() -> Tuning {
    let ms = Duration::from_millis;
    let (probe_interval, probe_timeout, gossip_interval) = (ms(200), ms(100), ms(20));
    Tuning { probe_interval, probe_timeout, gossip_interval, exchange_interval: ms(500), ..Tuning::default() }
}

async fn member_with(name: &str, id: u128, keys: Vec<Vec<u8>>) -> Gossip {
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = sockets.address().unwrap();
    let tags = BTreeMap::from([("dc".to_owned(), "dc1".to_owned())]);
    let identity = Identity { name: name.into(), id: Uuid::from_u128(id), address, tags, datacenter: "dc1".into() };
    let clock = Clock::system();
    let generation = clock.now_ms();
    let protection = Protection { keys, ..Protection::default() };
    Gossip::start(sockets, identity, fast(), protection, clock, generation).unwrap()
}

async fn member(name: &str, id: u128) -> Gossip {
    member_with(name, id, Vec::new()).await
}

async fn sees(gossip: &Gossip, name: &str, status: Status) {
    let mut members = gossip.subscribe();
    let seen = members.wait_for(|members| members.named(name).is_some_and(|m| m.status == status));
    timeout(Duration::from_secs(60), seen)
        .await
        .unwrap_or_else(|_| panic!("{name} does not become {status:?}"))
        .unwrap();
}

#[tokio::test]
async fn members_join_fail_and_leave() {
    let (a, b, c) = (member("a", 1).await, member("b", 2).await, member("c", 3).await);
    b.join(a.identity().address).await.unwrap();
    c.join(a.identity().address).await.unwrap();
    for one in [&a, &b, &c] {
        for name in ["a", "b", "c"] {
            sees(one, name, Status::Alive).await;
        }
    }
    let seen = a.members().named("b").unwrap().clone();
    assert!(a.reach(&seen).await);
    assert!(!a.reach(&Member { id: Uuid::nil(), ..(*seen).clone() }).await);
    let mut events = c.events();
    a.fire_event(a.event_time() + 1, b"hello".to_vec());
    assert_eq!(timeout(Duration::from_secs(30), events.recv()).await.unwrap().unwrap(), "hello");
    b.leave().await;
    sees(&a, "b", Status::Left).await;
    sees(&c, "b", Status::Left).await;
    drop(c);
    sees(&a, "c", Status::Failed).await;
    assert!(a.force_leave("c", false).await && !a.force_leave("nobody", false).await);
    sees(&a, "c", Status::Left).await;
}

#[tokio::test]
async fn whoever_is_not_there_or_foreign_is_not_joined() {
    let (a, b) = (member("a", 1).await, member_with("b", 2, vec![vec![1; 32]]).await);
    assert!(matches!(b.join(a.identity().address).await, Err(JoinError::Network(_))));
    let free = Sockets::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().address().unwrap();
    assert!(matches!(a.join(free).await, Err(JoinError::Network(e)) if e.kind() == io::ErrorKind::ConnectionRefused));
    let twin = member("c", 1).await;
    let refused = twin.join(a.identity().address).await;
    assert!(matches!(refused, Err(JoinError::Refused(why)) if why.contains("conflicting node ID")));
}

#[tokio::test]
async fn keys_change_on_all_nodes_without_losing_anybody() {
    let (old, new) = (vec![1; 32], vec![2; 32]);
    let pool = [
        member_with("a", 1, vec![old.clone()]).await,
        member_with("b", 2, vec![old.clone()]).await,
        member_with("c", 3, vec![old.clone()]).await,
    ];
    for one in &pool[1..] {
        one.join(pool[0].identity().address).await.unwrap();
    }
    for one in &pool {
        for name in ["a", "b", "c"] {
            sees(one, name, Status::Alive).await;
        }
    }
    let failed = pool[0].keys(KeyVerb::Use, new.clone(), false).await;
    assert_eq!((failed.nodes, failed.errors.len()), (3, 3));
    for (verb, key) in [(KeyVerb::Install, &new), (KeyVerb::Use, &new), (KeyVerb::Remove, &old)] {
        assert_eq!(pool[1].keys(verb, key.clone(), false).await.errors, [], "{verb:?}");
    }
    let report = pool[2].keys(KeyVerb::List, Vec::new(), false).await;
    assert_eq!((report.nodes, report.keys), (3, BTreeMap::from([(new.clone(), 3)])));
    assert_eq!(report.primary, BTreeMap::from([(new, 3)]));
    assert_eq!(pool[0].keys(KeyVerb::List, Vec::new(), true).await.nodes, 1);
    assert_eq!(pool[0].members().count(Status::Alive), 3);
}

#[tokio::test]
async fn nonsense_on_the_wire_changes_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (a, b) = (member("a", 1).await, member("b", 2).await);
    let to = a.identity().address;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&[][..], &[0; 1500], &[1, 0, 0], &[1, 0, 0, 1, 1], &[1, 1, 0, 9], &[255; 60]] {
        socket.send_to(packet, to).await.unwrap();
    }
    for frame in [&[0, 0, 0, 0][..], &[255; 4], &[0, 0, 0, 4, 1, 0, 0, 10], &[0, 0, 0, 5, 1, 0, 0, 10, 255]] {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(frame).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // The other side may reset the connection.
        let _ = stream.read_to_end(&mut rest).await;
    }
    b.join(to).await.unwrap();
    sees(&a, "b", Status::Alive).await;
}
