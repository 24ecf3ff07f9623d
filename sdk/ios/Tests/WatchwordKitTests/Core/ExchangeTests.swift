import Foundation
import Testing

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Talks with the service: what is tried again, after which pauses, and what an answer means.
@Suite struct ExchangeTests {
    /// Answers in their order, the last one for ever, and the pauses in between.
    private final class Line: Transport {
        private let answers: [Result<Answer, any Error>]
        let sent = Locked<[(headers: [String: String], body: Data)]>([])
        let pauses = Locked<[Double]>([])
        let heard = Locked<[Int64]>([])

        init(_ answers: [Result<Answer, any Error>]) { self.answers = answers }

        func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
            #expect(url == "https://attest.example/v1/x")
            #expect(timeout == 10)
            let place = sent.withLock { sent in
                sent.append((headers, body))
                return sent.count - 1
            }
            return try answers[min(place, answers.count - 1)].get()
        }

        func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
            try await post("https://attest.example/v1/x", headers: headers, body: Data(), timeout: timeout)
        }

        func exchange(jitter: Double = 1, sleep: @escaping @Sendable (Double) async throws -> Void = { _ in }) -> Exchange {
            let ports = Ports(
                device: SimulatedPhone(isStated: true, canOpen: true), store: MemoryStore(),
                clock: SimulatedClock(now: 0, wallAhead: 0, boot: 0, bootID: "b"), transport: self,
                sleep: { [pauses] seconds in
                    pauses.withLock { $0.append(seconds) }
                    try await sleep(seconds)
                }, jitter: { jitter })
            return Exchange(service: "https://attest.example", ports: ports) { [heard] now in heard.withLock { $0.append(now) } }
        }
    }

    private static func answer(_ status: Int, _ text: String = "{}", _ headers: [String: String] = [:]) -> Result<Answer, any Error> {
        .success(
            Answer(status: status, headers: ["content-type": "application/json"].merging(headers) { $1 }, body: Data(text.utf8)))
    }

    private static func problem(_ status: Int, _ text: String, _ headers: [String: String] = [:]) -> Result<Answer, any Error> {
        answer(status, text, headers.merging(["content-type": "application/problem+json; charset=utf-8"]) { $1 })
    }

    @Test(arguments: [408, 425, 429, 500, 502, 503, 504])
    func pausesGrow(status: Int) async throws {
        let line = Line([Self.answer(status)])
        do {
            _ = try await line.exchange().post("/v1/x", ["a": 1], attempts: 4)
            Issue.record("nothing was thrown")
        } catch WatchwordError.offline(let error) {
            #expect(error.code == "service-unavailable")
            #expect(error.message == "the service is not available after 4 attempt(s): HTTP \(status)")
            #expect(error.retryAfter == nil)
        }
        #expect(line.pauses.withLock { $0 } == [0.5, 1, 2])
        let sent = line.sent.withLock { $0 }
        #expect(sent.count == 4)
        #expect(sent.allSatisfy { $0.body == Data(#"{"a":1}"#.utf8) && $0.headers["Accept-Encoding"] == "identity" })
    }

    @Test func pausesAreJittered() async throws {
        let exchange = Line([]).exchange(jitter: 0.25)
        #expect((0..<8).map { exchange.pause(after: $0) } == [0.125, 0.25, 0.5, 1, 2, 2, 2, 2])
        #expect(exchange.pause(after: 0, asked: 3) == 3.125)
        #expect(exchange.pause(after: 1_000) == 2)
    }

    @Test func noAnswerIsTriedAgain() async throws {
        let line = Line([.failure(URLError(.timedOut)), .failure(URLError(.cancelled)), Self.answer(201, #"{"now":12}"#)])
        let document = try await line.exchange().post("/v1/x", [:], attempts: 4)
        #expect(document == ["now": 12])
        #expect(line.pauses.withLock { $0 } == [0.5, 1])
        #expect(line.heard.withLock { $0 } == [12])
    }

    @Test func oneAttemptIsOne() async throws {
        let line = Line([Self.answer(503)])
        await #expect(throws: WatchwordError.self) { try await line.exchange().post("/v1/x", [:], attempts: 1) }
        #expect(line.sent.withLock { $0.count } == 1)
        #expect(line.pauses.withLock { $0 } == [])
    }

    @Test(
        arguments: [
            ("8", 8.5, nil), (" 0 ", 0.5, nil), ("", 0.5, nil), ("-1", 0.5, nil), ("1.5", 0.5, nil), ("1234567890", 0.5, nil),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.5, nil), ("9", nil, 9), ("999999999", nil, 999_999_999), ("٣", 0.5, nil),
        ] as [(String, Double?, Double?)])
    func retryAfter(text: String, pause: Double?, thrown: Double?) async throws {
        let line = Line([Self.answer(503, "{}", ["retry-after": text]), Self.answer(200)])
        do {
            _ = try await line.exchange().post("/v1/x", [:], attempts: 4)
            #expect(line.pauses.withLock { $0 } == [pause])
        } catch WatchwordError.offline(let error) {
            #expect(error.retryAfter == thrown && thrown != nil)
            #expect(line.pauses.withLock { $0 } == [])
        }
    }

    @Test func aPauseThatFailsIsOverAndOneThatIsCancelledEndsTheWork() async throws {
        let line = Line([Self.answer(503), Self.answer(200)])
        _ = try await line.exchange(sleep: { _ in throw URLError(.unknown) }).post("/v1/x", [:], attempts: 2)
        let other = Line([Self.answer(503), Self.answer(200)])
        await #expect(throws: CancellationError.self) {
            try await other.exchange(sleep: { _ in throw CancellationError() }).post("/v1/x", [:], attempts: 2)
        }
        #expect(other.sent.withLock { $0.count } == 1)
    }

    @Test func aTransportThatEndsTheWorkIsNotAskedAgain() async throws {
        let line = Line([.failure(CancellationError())])
        await #expect(throws: CancellationError.self) { try await line.exchange().post("/v1/x", [:], attempts: 4) }
        await #expect(throws: CancellationError.self) { try await line.exchange().get("/v1/x") }
        let pin = Line([.failure(WatchwordError.pin(.init(host: "attest.example", message: "no")))])
        await #expect(throws: WatchwordError.self) { try await pin.exchange().post("/v1/x", [:], attempts: 4) }
        #expect(pin.sent.withLock { $0.count } == 1)
    }

    private static let others: [Result<Answer, any Error>] = [
        answer(200, "{", [:]), answer(200, "[]", [:]), answer(200, "{}", ["content-type": "text/html"]),
        answer(200, "{}", ["content-encoding": "gzip"]), answer(302, "{}", [:]), answer(403, "{}", [:]), answer(204, "", [:]),
        answer(200, #"{"a":"\#(String(repeating: "x", count: 65_536))"}"#, [:]), .failure(UnreadableAnswerError("too much")),
        problem(403, #"{"type":"urn:other:no"}"#, [:]), problem(403, "{", [:]),
    ]

    @Test(arguments: others)
    func whatIsNotTheServicesConcludesNothing(answer: Result<Answer, any Error>) async throws {
        let line = Line([answer])
        do {
            _ = try await line.exchange().post("/v1/x", [:], attempts: 4)
            Issue.record("nothing was thrown")
        } catch WatchwordError.offline(let error) {
            #expect(error.code == "unreadable-answer")
        }
        #expect(line.sent.withLock { $0.count } == 1)
        #expect(try await line.exchange().get("/v1/x") == nil)
    }

    @Test func aRefusalIsReadWhole() async throws {
        let text = """
            {"type":"urn:watchword:problem:evidence-refused","title":"No","ref":"r-1","reasons":["a.b",1,"c"],"now":7,"signed":"x.y.z"}
            """
        let line = Line([Self.problem(403, text)])
        do {
            _ = try await line.exchange().post("/v1/x", [:], attempts: 4)
            Issue.record("nothing was thrown")
        } catch WatchwordError.refused(let error) {
            #expect(error.message == "the service refused: 403 evidence-refused: No (a.b, c); ref r-1")
            #expect(error.isFinal && error.code == "evidence-refused" && error.signed == "x.y.z")
        }
        #expect(line.heard.withLock { $0 } == [7])
    }

    @Test func whyItIsLaterIsSaid() async throws {
        let line = Line([Self.problem(503, #"{"type":"urn:watchword:problem:busy","reasons":["vendor.busy"],"now":5}"#)])
        do {
            _ = try await line.exchange().post("/v1/x", [:], attempts: 1)
        } catch WatchwordError.offline(let error) {
            #expect(error.message == "the service is not available after 1 attempt(s): HTTP 503 (vendor.busy)")
        }
        #expect(line.heard.withLock { $0 } == [5])
    }

    @Test func timesOfTheWire() {
        let cases: [(JSON?, Int64?)] = [
            (1, 1), (9_999_999_999, 9_999_999_999), (10_000_000_000, nil), (0, nil), (-1, nil), (1.5, nil), ("1", nil), (nil, nil),
            (.integer(.max), nil), (.integer(.min), nil),
        ]
        for (value, expected) in cases { #expect(time(value) == expected) }
    }

    @Test func mediaTypes() {
        #expect(mediaType(nil) == "")
        #expect(mediaType(" Application/JSON ; charset=utf-8") == "application/json")
        #expect(mediaType(";") == "")
    }
}
