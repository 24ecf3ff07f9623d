// Sends GETs on a `session` route by a bare URLSession and by one with Watchword, in turns, and prints the processor time of each turn
// in microseconds a request: `Measured URL REQUESTS`. The bare one sends as many headers of the same length. A third number is the SDK's
// own work for a request, without any sending.
import Foundation
import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

struct StandStill: Error {}

/// A phone whose session is stored already: nothing of it is asked while requests are measured.
struct EnrolledPhone: Device, Store, DeviceClock, Transport {
    let document: Data
    let bootID = "measured"
    var canOpen: Bool { true }

    func boot() -> Double { ProcessInfo.processInfo.systemUptime }
    func wall() -> Double { Date().timeIntervalSince1970 }
    func read() throws -> Data? { document }
    func write(_ data: Data) throws {}
    func clear() throws {}
    func proofKey() async throws -> PublicKeyJWK? { throw StandStill() }
    func sealKey() async throws -> PublicKeyJWK { throw StandStill() }
    func createKeys() async throws { throw StandStill() }
    func attest(binding: Data) async throws -> Evidence { throw StandStill() }
    func renew(statement: Data) async throws -> Evidence { throw StandStill() }
    func sign(_ message: Data) async throws -> Data { throw StandStill() }
    func openSealed(info: Data, sealed: Data) async throws -> Data { throw StandStill() }
    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer { throw StandStill() }
    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer { throw StandStill() }

    /// Returns a phone with a token of the usual size for one API.
    static func holding(audience: String) throws -> EnrolledPhone {
        func base64URL(_ data: Data) -> String {
            data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                .replacingOccurrences(of: "=", with: "")
        }
        let coordinate = base64URL(Data(repeating: 7, count: 32))
        let claims: [String: Any] = [
            "iss": "https://attest.example", "aud": audience, "sub": coordinate, "sid": String(coordinate.prefix(22)), "exp": 4_000_000_000,
            "iat": 1_700_000_000, "level": "hardware", "jti": String(coordinate.prefix(22)), "app": "clinic-ios", "os": "ios-27",
            "cnf": ["jwk": ["kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate]],
        ]
        let header = #"{"alg":"ES256","kid":"2026-11","typ":"JWT"}"#
        let token = [Data(header.utf8), try JSONSerialization.data(withJSONObject: claims), Data(repeating: 1, count: 64)]
            .map(base64URL).joined(separator: ".")
        let never = 1e12
        let held: [String: Any] = [
            "token": token, "expires_at": never, "renew_at": never, "session_key": base64URL(Data(repeating: 9, count: 32)),
        ]
        let session: [String: Any] = [
            "instance": String(coordinate.prefix(22)), "level": "hardware", "bnd": NSNull(), "boot_id": "measured", "asks_device": false,
            "next": NSNull(), "tokens": [audience: held],
        ]
        let document: [String: Any] = ["v": 1, "speaks": true, "ahead": NSNull(), "session": session, "refusal": NSNull()]
        return EnrolledPhone(document: try JSONSerialization.data(withJSONObject: document))
    }
}

/// Returns the processor time that this process took, in microseconds.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

func took(_ count: Int, _ action: @Sendable () async throws -> Void) async throws -> Double {
    let before = processorTime()
    for _ in 0..<count { try await action() }
    return (processorTime() - before) / Double(count)
}

/// Waits for one answer by a delegate, as whoever decides about redirects or certificates has to.
final class Waiting: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    // One request at a time: what is set before it starts is read after it has ended.
    private var continuation: CheckedContinuation<Void, any Error>?

    func answer(_ session: URLSession, _ request: URLRequest) async throws {
        try await withCheckedThrowingContinuation { continuation in
            self.continuation = continuation
            session.dataTask(with: request).resume()
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        continuation?.resume(with: error.map { .failure($0) } ?? .success(()))
    }
}

@main
struct Measured {
    static let turn = 100
    static let warmUp = 10

    static func main() async throws {
        guard CommandLine.arguments.count == 3, let url = URL(string: CommandLine.arguments[1] + "/v1/records/7?part=1"),
            let requests = Int(CommandLine.arguments[2])
        else {
            print("got \(CommandLine.arguments.count - 1) arguments, expected a URL and a number of requests")
            exit(2)
        }
        let audience = CommandLine.arguments[1]
        let phone = try EnrolledPhone.holding(audience: audience)
        let watchword = try Watchword(
            .init(service: "http://127.0.0.1:1", app: "clinic-ios", audiences: [audience]),
            ports: Ports(device: phone, store: phone, clock: phone, transport: phone))
        let bare = URLSession(configuration: .ephemeral)
        let proved = URLSession.watchword(watchword, audience: audience, configuration: .ephemeral)
        let waiting = Waiting()
        let delegating = URLSession(configuration: .ephemeral, delegate: waiting, delegateQueue: nil)
        let request = URLRequest(url: url)
        var shaped = request
        for (name, value) in try await proof(watchword, url.absoluteString) { shaped.setValue(value, forHTTPHeaderField: name) }
        let same = shaped
        for number in 0..<(warmUp + requests / turn) {
            let theirs = try await took(turn) { _ = try await bare.data(for: same) }
            let delegated = try await took(turn) { try await waiting.answer(delegating, same) }
            let ours = try await took(turn) { _ = try await proved.data(for: request) }
            let own = try await took(turn) { _ = try await proof(watchword, url.absoluteString) }
            if number >= warmUp { print(theirs, delegated, ours, own) }
        }
    }

    /// Does what the SDK does for a request that is answered well; returns the headers.
    static func proof(_ watchword: Watchword, _ url: String) async throws -> [String: String] {
        guard let attempts = try await watchword.attempts(AppRequest(method: "GET", url: url)) else { throw StandStill() }
        try await attempts.prepare()
        let headers = try await attempts.sign(WireRequest(method: "GET", url: url))
        guard headers.set["Signature"] != nil else { throw StandStill() }
        await attempts.answered(status: 200) { _ in nil }
        guard try await attempts.judge(status: 200, header: { _ in nil }, body: { Data() }) == .deliver else { throw StandStill() }
        return headers.set
    }
}
