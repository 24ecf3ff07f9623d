import Foundation

/// One token and the keys of its proofs. Times are those of the device's boot clock.
///
/// A class, so that a request that takes it copies one reference.
final class HeldToken: Sendable, Redacted {
    let token: String

    /// Counted from before the token was asked for, so that it is never taken for longer than it lives.
    let expiresAt: Double

    /// From then on the token is replaced, while it still works.
    let renewAt: Double

    /// What session proofs are made with, 32 bytes; nil where the device couldn't open it or none came.
    let sessionKey: Data?

    /// What the token says of its keys; nil if that can't be read.
    let own: OwnToken?

    init(token: String, expiresAt: Double, renewAt: Double, sessionKey: Data?, own: OwnToken?) {
        self.token = token
        self.expiresAt = expiresAt
        self.renewAt = renewAt
        self.sessionKey = sessionKey
        self.own = own
    }

    func renewed(at time: Double) -> HeldToken {
        HeldToken(token: token, expiresAt: expiresAt, renewAt: time, sessionKey: sessionKey, own: own)
    }
}

/// A challenge that came with tokens, for the next renewal; `expiresAt` in boot time.
struct NextChallenge: Sendable {
    let challenge: String
    let expiresAt: Double

    /// What the service wants to see again beside it; nil where it gave nothing.
    var ticket: String?

    /// Returns a ticket, nil for what can't be one: a renewal works without it.
    static func ticket(_ given: JSON?) -> String? {
        guard let text = given?.text, (1...5462).contains(text.utf8.count) else { return nil }
        return text
    }
}

/// An enrolled instance.
struct Session: Sendable, Redacted {
    let instance: String
    let level: String

    /// By audience.
    var tokens: [String: HeldToken]

    /// What they are bound to, nil for nothing.
    let bound: String?

    /// The start of the device that their times are of.
    let bootID: String

    /// Whether device proofs are to stand for session proofs: this device couldn't open a session key.
    let asksDevice: Bool

    var next: NextChallenge?
}

/// A final refusal that the service signed over our statement.
struct SignedRefusal: Sendable {
    let type: String
    let status: Int
    let title: String
    let ref: String?

    /// When the cool-down ends, in boot time of `bootID`.
    let until: Double
    let bootID: String
}

/// All that outlives the process.
struct Remembered: Sendable, Redacted {
    var session: Session?
    var refusal: SignedRefusal?

    /// The service's time less the boot clock, in seconds, in `aheadBootID`; nil before it told any.
    var ahead: Double?
    var aheadBootID = ""

    /// Whether the service said that it speaks protocol 1.1.
    var speaks = false

    /// Whether the device made keys that no evidence was made with yet: a busy or locked device is asked again with them, also after
    /// a restart, since each key that App Attest makes in vain harms the device's standing.
    var hasUnusedKeys = false

    /// A place in the line of those who enrol, which counts after any start of the device; nil while there is none.
    var place: String?
}

/// The document for the ``Store``; it holds tokens and session keys.
extension Remembered {
    private static let version: Int64 = 1
    private static let maxBytes = 1024 * 1024
    private static let sessionKeyBytes = 32

    func written() -> Data {
        var time: JSON = .null
        if let ahead { time = ["seconds": .number(ahead), "boot_id": .text(aheadBootID)] }
        var document: JSONObject = [
            "v": .integer(Self.version),
            "speaks": .bool(speaks),
            "ahead": time,
            "session": session.map(Self.written) ?? .null,
            "refusal": refusal.map(Self.written) ?? .null,
        ]
        if hasUnusedKeys { document["unused_keys"] = true }
        if let place { document["place"] = .text(place) }
        return document.written()
    }

    private static func written(_ session: Session) -> JSON {
        var tokens = JSONObject()
        for (audience, held) in session.tokens {
            tokens[audience] = [
                "token": .text(held.token),
                "expires_at": .number(held.expiresAt),
                "renew_at": .number(held.renewAt),
                "session_key": held.sessionKey.map { .text(Base64URL.encode($0)) } ?? .null,
            ]
        }
        var next: JSON = .null
        if let challenge = session.next {
            var members: JSONObject = ["challenge": .text(challenge.challenge), "expires_at": .number(challenge.expiresAt)]
            if let ticket = challenge.ticket { members["ticket"] = .text(ticket) }
            next = .object(members)
        }
        return [
            "instance": .text(session.instance),
            "level": .text(session.level),
            "bnd": session.bound.map(JSON.text) ?? .null,
            "boot_id": .text(session.bootID),
            "asks_device": .bool(session.asksDevice),
            "next": next,
            "tokens": .object(tokens),
        ]
    }

    private static func written(_ refusal: SignedRefusal) -> JSON {
        [
            "type": .text(refusal.type),
            "status": .integer(Int64(refusal.status)),
            "title": .text(refusal.title),
            "ref": refusal.ref.map(JSON.text) ?? .null,
            "until": .number(refusal.until),
            "boot_id": .text(refusal.bootID),
        ]
    }

    /// Returns what a stored document holds; nothing where it can't be read (the app enrols then).
    ///
    /// Every version that was ever written is read: an update of the app costs no enrolment.
    static func read(_ document: Data) -> Remembered {
        guard let members = try? JSONObject.read(document, limit: maxBytes), members["v"] == .integer(version) else { return Remembered() }
        return (try? first(members)) ?? Remembered()
    }

    private static func first(_ members: JSONObject) throws -> Remembered {
        let ahead = members["ahead"]?.object
        return Remembered(
            session: try members["session"]?.object.map(session),
            refusal: try members["refusal"]?.object.map(refusal),
            ahead: ahead?["seconds"]?.seconds,
            aheadBootID: try ahead?.text("boot_id") ?? "",
            speaks: members["speaks"] == .bool(true),
            hasUnusedKeys: members["unused_keys"] == .bool(true),
            place: Problem.place(members["place"]))
    }

    private static func session(_ members: JSONObject) throws -> Session {
        let written = try members.object("tokens")
        var tokens: [String: HeldToken] = [:]
        for audience in written.names {
            let held = try written.object(audience)
            let token = try held.text("token")
            tokens[audience] = HeldToken(
                token: token,
                expiresAt: try held.seconds("expires_at"),
                renewAt: try held.seconds("renew_at"),
                sessionKey: try optional(held, "session_key").map { try sessionKey(Base64URL.decode($0, limit: 64)) },
                own: OwnToken.read(token))
        }
        return Session(
            instance: try members.text("instance"),
            level: try members.text("level"),
            tokens: tokens,
            bound: try optional(members, "bnd"),
            bootID: try members.text("boot_id"),
            asksDevice: members["asks_device"] == .bool(true),
            next: try members["next"]?.object.map {
                NextChallenge(
                    challenge: try $0.text("challenge"), expiresAt: try $0.seconds("expires_at"),
                    ticket: NextChallenge.ticket($0["ticket"]))
            })
    }

    private static func refusal(_ members: JSONObject) throws -> SignedRefusal {
        guard let status = members["status"]?.integer, (100...999).contains(status) else {
            throw MalformedError(message: "expected an HTTP status")
        }
        return SignedRefusal(
            type: try members.text("type"),
            status: Int(status),
            title: members["title"]?.text ?? "",
            ref: members["ref"]?.text,
            until: try members.seconds("until"),
            bootID: try members.text("boot_id"))
    }

    private static func optional(_ members: JSONObject, _ name: String) throws -> String? {
        guard let value = members[name], value != .null else { return nil }
        return try members.text(name)
    }

    /// Returns `key` if it has a session key's length.
    static func sessionKey(_ key: Data) throws -> Data {
        guard key.count == sessionKeyBytes else { throw MalformedError(message: "got a session key of another length") }
        return key
    }
}
