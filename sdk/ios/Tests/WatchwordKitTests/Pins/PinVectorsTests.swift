import Foundation
import Testing

@testable import WatchwordKit

/// Checks every vector of pins; `VectorsTests` holds their number.
@Suite struct PinVectorsTests {
    private static let vectors = ProtocolVector.ofClients.filter { $0.group == "pins.vectors" }

    @Test(arguments: vectors)
    func holds(_ vector: ProtocolVector) async throws {
        let run = try PinVector(vector.members)
        let steps = try #require(vector.members["steps"]?.list?.compactMap { $0.object })
        #expect(!steps.isEmpty && steps.count == vector.members["steps"]?.list?.count)
        for step in steps { try await run.take(step) }
    }

    @Test func areAllRun() throws {
        #expect(try Self.vectors.count == ProtocolVector.document.object("pins")["vectors"]?.list?.count)
    }
}

/// Goes through the steps of a vector as an installed app does.
private final class PinVector {
    private static let host = "api.clinic.example"
    private let clock = PinClock()
    private let keeper: PinKeeper
    private let reports: PinReports
    private let posts = Locked((count: 0, arrives: true))
    private let begun = Locked<[Task<Void, Never>]>([])
    private var builtin: Builtin
    private var installed: Installed
    private var connection = (host: "", chain: [PinText](), generation: Int64(-1))

    init(_ vector: JSONObject) throws {
        builtin = try PinFile.builtin(vector.text("builtin"))
        installed = Installed(builtin)
        keeper = PinKeeper(installed, now: { [clock] in clock.now })
        reports = PinReports(
            post: { [posts] _, _ in
                posts.withLock { state in
                    state.count += 1
                    return state.arrives
                }
            },
            background: { [begun] work in begun.withLock { $0.append(Task { await work() }) } })
    }

    func take(_ step: JSONObject) async throws {
        let before = installed
        var refused: String?
        do {
            try await act(step)
        } catch let error as PinRefusal {
            refused = error.reason
        }
        #expect(refused == step["refused"]?.text, "\(step)")
        if refused != nil, step["do"] != "restart" { #expect(installed == before) }
        if let state = step["state"]?.object {
            #expect(installed.roots.version == state["roots"]?.integer)
            #expect(installed.set?.version == state["set"]?.integer)
            #expect(installed.seen == state["seen"]?.integer)
        }
    }

    private func act(_ step: JSONObject) async throws {
        switch try step.text("do") {
        case "install": try begin(step.text("document"))
        case "roots": try installed.take(roots: padded(step))
        case "set": try installed.take(set: padded(step), now: step.seconds("now"))
        case "restart": try restart(step)
        case "fresh": #expect(try installed.isFresh(now: step.seconds("now")) == (step["expect"] == true))
        case "judge": try judge(step)
        case "pin": try pin(step)
        case "store": try store(step)
        case "secret": try secret(step)
        case "connect": try connect(step)
        case "write": try write(step)
        case "cleartext": try cleartext(step)
        case "fetch": try await fetch(step)
        case "due": try await due(step)
        case "hear": try await hear(step)
        case "tell": try await tell(step)
        case let what: Issue.record("got the step \(what), which this runner doesn't know")
        }
    }

    private func padded(_ step: JSONObject) throws -> Data {
        let data = try PinFile.data(step.text("document"))
        let missing = Int(step["pad_to"]?.integer ?? 0) - data.count
        return data + Data(repeating: UInt8(ascii: " "), count: max(0, missing))
    }

    private func begin(_ name: String) throws {
        builtin = try PinFile.builtin(name)
        installed = Installed(builtin)
    }

    private func restart(_ step: JSONObject) throws {
        try begin(step.text("builtin"))
        let lists = try texts(step, "lists").map(PinFile.data)
        installed = try Installed(builtin, lists: lists, signed: step["set"]?.text.map(PinFile.data))
    }

    private func judge(_ step: JSONObject) throws {
        // One is an empty name.
        let host = try #require(step["host"]?.text)
        let (chain, at) = (try texts(step, "chain"), try step.seconds("now"))
        let found = installed.judge(host: host, chain: chain, now: at)
        let written: JSONObject = [
            "passes": .bool(found.passes), "basis": .text(found.basis.rawValue), "report": .bool(found.isReported),
            "withhold": .bool(found.withholds), "mismatch": .bool(found.isMismatch), "version": .integer(found.version),
        ]
        #expect(try written == step.object("expect"))
        let sighting = Sighting(host: host, chain: chain, judgement: found, at: at, installed: installed)
        if let address = step["report_to"] { #expect(PinReports.url(for: sighting) == address.text) }
        if let document = step["report_document"]?.object {
            #expect(try JSONObject.read(PinReports.document(of: sighting), limit: 32 * 1024) == document)
        }
    }

    private func pin(_ step: JSONObject) throws {
        let certificate = try #require(Data(base64Encoded: step.text("certificate")))
        #expect(try CertificatePins.pin(of: certificate) == step["expect"]?.text)
    }

    private func store(_ step: JSONObject) throws {
        func age(_ name: String) throws -> Installed.Age {
            let numbers = try #require(step[name]?.list?.compactMap { $0.integer })
            return Installed.Age(roots: numbers[0], seen: numbers[1])
        }
        #expect(try !(age("kept") > age("new")) == (step["replaced"] == true))
    }

    private func keeperAt(_ step: JSONObject) throws -> PinKeeper {
        keeper.replace(by: installed)
        clock.now = try step.seconds("now")
        return keeper
    }

    private func secret(_ step: JSONObject) throws {
        let (host, chain) = (try step.text("host"), try texts(step, "chain"))
        let judgement = try keeperAt(step).judge(host: host, chain: chain)
        // A connection that doesn't pass carries no secret either.
        #expect((!judgement.passes || keeper.withholds(host)) == (step["withheld"] == true))
    }

    private func connect(_ step: JSONObject) throws {
        connection = (try step.text("host"), try texts(step, "chain"), try keeperAt(step).generation)
        #expect(keeper.judge(host: connection.host, chain: connection.chain).passes == (step["passes"] == true))
    }

    private func write(_ step: JSONObject) throws {
        let isSame = try keeperAt(step).generation == connection.generation
        let passes = isSame || keeper.judge(host: connection.host, chain: connection.chain).passes
        #expect(passes == (step["passes"] == true))
    }

    private func cleartext(_ step: JSONObject) throws {
        let refuses = try keeperAt(step).refusesCleartext(to: step.text("host"))
        #expect(!refuses == (step["passes"] == true))
    }

    private func fetch(_ step: JSONObject) async throws {
        let headers = try step.object("headers")
        let named = try headers.names.reduce(into: [String: String]()) { $0[$1] = try headers.text($1) }
        let body = Data(repeating: UInt8(ascii: "x"), count: Int(step["bytes"]?.integer ?? 0))
        let answer = Answer(status: Int(step["status"]?.integer ?? 0), headers: named, body: body)
        let source = HTTPPinSource(service: "https://attest.example", app: "clinic-android", transport: OneAnswer(answer: answer))
        let came: String
        do {
            let found = step["of"] == "set" ? try await source.newest(etag: nil)?.data : try await source.roots(1)
            came = found == nil ? "nothing" : "taken"
        } catch is UnreadableAnswerError {
            came = "failed"
        }
        #expect(try came == step.text("expect"), "\(step)")
    }

    private func updated(_ step: JSONObject) async throws -> PinUpdater {
        clock.now = try step.seconds("now")
        let failures = Int(step["failures"]?.integer ?? 0)
        let jitter = step["jitter"]?.seconds ?? 0.5
        let source = PublishedPins()
        source.change { $0.isOut = failures > 0 }
        let updater = PinUpdater(builtin, source: source, store: nil, now: { [clock] in clock.now }, jitter: { jitter })
        for _ in 0..<max(1, failures) { await updater.update() }
        return updater
    }

    private func due(_ step: JSONObject) async throws {
        let updater = try await updated(step)
        clock.now += try step.seconds("expect") - 1
        #expect(!updater.isDue)
        clock.now += 1
        #expect(updater.isDue)
    }

    private func hear(_ step: JSONObject) async throws {
        let updater = try await updated(step)
        #expect(!updater.isDue)
        updater.hear(try #require(step["version"]?.integer))
        #expect(updater.isDue == (step["due"] == true))
    }

    private func tell(_ step: JSONObject) async throws {
        let (chain, at) = ([try step.text("leaf")], try step.seconds("now"))
        #expect(try Base64URL.decode(chain[0]).count == 32)
        let before = posts.withLock { state in
            state.arrives = step["arrives"] == true
            return state.count
        }
        let judgement = installed.judge(host: Self.host, chain: chain, now: at)
        reports.tell(Sighting(host: Self.host, chain: chain, judgement: judgement, at: at, installed: installed))
        for task in begun.withLock({ $0 }) { await task.value }
        #expect((posts.withLock { $0.count } > before) == (step["sent"] == true), "\(step)")
    }

    private func texts(_ step: JSONObject, _ name: String) throws -> [String] {
        try (step[name]?.list ?? []).map { try #require($0.text) }
    }
}

/// A service that answers one thing.
private struct OneAnswer: Transport {
    let answer: Answer

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        throw UnreadableAnswerError("nothing is posted")
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        #expect(headers == ["Accept-Encoding": "identity"])
        #expect(timeout == 15)
        return answer
    }
}
