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
