import CryptoKit
import DeviceCheck
import Foundation
import LabAttester
@testable @_spi(Phone) import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// What a check found to be otherwise than it has to be.
struct Wrong: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The deployment that a test runs against, and what it may change of it: the addresses are those that
/// `tests/system/sdk/deployment.py` prints.
struct World: Sendable {
    private let told: JSONObject

    init(_ file: String) throws { told = try JSONObject.read(Data(contentsOf: URL(fileURLWithPath: file)), limit: 1 << 20) }

    var apis: [String] { told["apis"]?.object?.names ?? [] }
    var secret: JSONObject { get throws { try told.object("secret") } }
    var attester: String { get throws { try told.text("attester") } }

    func url(_ api: String) throws -> String { try told.object("apis").object(api).text("url") }
    func audience(_ api: String) throws -> String { try told.object("apis").object(api).text("audience") }
    func relay(_ name: String) throws -> String { try told.object("relays").text(name) }
    func host(_ name: String) throws -> String { try told.object("hosts").text(name) }

    var pinned: String { get throws { try told.object("pinned").text("host") } }

    /// Returns the certificates that the server under pins shows (`url`), or who stands in its place (`between`); the leaf first.
    func shown(_ name: String) async throws -> [Data] {
        try await control("shown").object?[name]?.list?.compactMap(\.text).map { try Base64URL.decode($0) } ?? []
    }

    /// Returns the file of pins that a new version of the app is built with.
    func release() async throws -> Data {
        let told = try await control("release", ["app": .text(try configuration().app)])
        return Data(try told.object?.text("file").utf8 ?? "".utf8)
    }

    func configuration(service: String? = nil, pins: Data? = nil) throws -> Watchword.Configuration {
        let proofs = Proofs(device: ["/payments/**"], bearer: ["/patients/**"])
        let apis = try apis.map {
            Watchword.API(audience: try audience($0), origins: [try url($0), try relay($0)], proofs: proofs)
        }
        let own = try told.text("service")
        return .init(service: service ?? own, app: try told.object("apps").object("ios").text("name"), apis: apis, issuer: own, pins: pins)
    }

    /// Has the deployment changed, or asks what reached it.
    @discardableResult
    func control(_ action: String, _ members: JSONObject = [:]) async throws -> JSON {
        let (status, answer) = try await send("POST", "\(try told.text("control"))/\(action)", members)
        guard status == 200 else { throw Wrong("\(action): \(status) \(String(decoding: answer, as: UTF8.self))") }
        return try JSONObject.read(Data("{\"told\":".utf8) + answer + Data("}".utf8), limit: 1 << 24)["told"] ?? .null
    }

    /// Returns what reached the API, or one of the hosts around.
    func seen(_ host: String = "api") async throws -> [JSONObject] {
        try await control("seen").list?.compactMap(\.object).filter { $0["host"] == .text(host) } ?? []
    }

    func instances() async throws -> [String] {
        try await control("instances").list?.compactMap { $0.object?["instance"]?.text } ?? []
    }

    /// Says what a phone's next calls to its hardware and to Apple meet.
    func script(_ device: String, _ faults: JSONObject...) async throws {
        let (status, answer) = try await send(
            "PUT", "\(try attester)/v1/devices/\(device)/faults", ["faults": .list(faults.map(JSON.object))])
        guard status == 200 else { throw Wrong("faults: \(status) \(String(decoding: answer, as: UTF8.self))") }
    }

    private func send(_ method: String, _ url: String, _ body: JSONObject) async throws -> (Int, Data) {
        guard let address = URL(string: url) else { throw Wrong("got no URL: \(url)") }
        var request = URLRequest(url: address)
        request.httpMethod = method
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = body.written()
        let (data, response) = try await URLSession.shared.data(for: request)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, data)
    }
}

/// One phone's `DCAppAttestService`: Apple's class has only the one of the phone that it runs on.
private struct PhonesAppAttest: AppAttestService {
    let service: DCAppAttestService

    var isSupported: Bool { service.isSupported }

    func generateKey() async throws -> String { try await service.generateKey() }

    func attestKey(_ id: String, clientDataHash: Data) async throws -> Data {
        try await service.attestKey(id, clientDataHash: clientDataHash)
    }

    func generateAssertion(_ id: String, clientDataHash: Data) async throws -> Data {
        try await service.generateAssertion(id, clientDataHash: clientDataHash)
    }
}

/// One phone with the app on it; its processes end and begin, its Keychain and files stay.
struct Handset: Sendable {
    let world: World
    let name: String
    let keychain = MemoryKeychain()
    private let directory: URL
    private let service: PhonesAppAttest

    init(_ world: World, root: URL, kind: String?) throws {
        self.world = world
        name = "swift-\(UUID().uuidString.prefix(8).lowercased())"
        directory = root.appendingPathComponent(name)
        let (attester, device) = (try world.attester, name)
        let phone = kind.map { LabAttester(url: attester, kind: $0, device: device) }
        service = PhonesAppAttest(service: DCAppAttestService(phone: phone))
    }

    /// Starts the app's process.
    ///
    /// - Parameter start: which start of the phone it is; another one has another boot time.
    func started(service address: String? = nil, start: Int = 0, pins: Data? = nil) throws -> Watchword {
        let configuration = try world.configuration(service: address, pins: pins)
        let phone = Phone(configuration, kind: "phone", directory: directory, keychain: keychain)
        let ports = phone.ports(phone.device(service: service))
        // What verifies a chain here is Apple's: a chain that is shown counts as verified.
        let pinPorts = ports.pins.map { PinPorts(store: $0.store, transport: $0.transport, chains: { presented, _ in presented }) }
        return try Watchword(
            configuration,
            ports: Ports(
                device: ports.device, store: ports.store, clock: StartedClock(start), transport: ports.transport, pins: pinPorts))
    }

    /// Removes the app and installs it anew: its files go, the Keychain stays.
    func reinstall() throws { try FileManager.default.removeItem(at: directory) }
}

/// The system's clock, of a phone that was started once more some time ago.
private struct StartedClock: DeviceClock {
    private let clock = SystemClock()
    private let start: Int
    private let begin: Double

    init(_ start: Int) {
        self.start = start
        begin = start == 0 ? 0 : clock.boot() - 30
    }

    var bootID: String { start == 0 ? clock.bootID : "start \(start)" }
    func wall() -> Double { clock.wall() }
    func boot() -> Double { clock.boot() - begin }
}

/// A Keychain in memory, which refuses everything before the first unlock.
final class MemoryKeychain: KeychainItems {
    private let state = Locked((items: [String: Data](), isLocked: false))

    func setLocked(_ isLocked: Bool) { state.withLock { $0.isLocked = isLocked } }
    func wipe() { state.withLock { $0.items = [:] } }

    func read(_ account: String) -> (status: Int32, data: Data?) {
        state.withLock { state in
            if state.isLocked { return (KeychainStatus.interactionNotAllowed, nil) }
            return state.items[account].map { (KeychainStatus.success, $0) } ?? (KeychainStatus.itemNotFound, nil)
        }
    }

    func add(_ account: String, _ data: Data) -> Int32 { change(account, data) { $0 ? KeychainStatus.duplicateItem : nil } }
    func update(_ account: String, _ data: Data) -> Int32 { change(account, data) { $0 ? nil : KeychainStatus.itemNotFound } }
    func delete(_ account: String) -> Int32 { change(account, nil) { $0 ? nil : KeychainStatus.itemNotFound } }

    private func change(_ account: String, _ data: Data?, _ refusal: (_ isThere: Bool) -> Int32?) -> Int32 {
        state.withLock { state in
            if state.isLocked { return KeychainStatus.interactionNotAllowed }
            if let status = refusal(state.items[account] != nil) { return status }
            state.items[account] = data
            return KeychainStatus.success
        }
    }
}

/// The app's HTTP client.
struct AppHTTP: Sendable {
    static let body = Data("{\"sum\": 40}".utf8)
    let session: WatchwordSession

    init(_ watchword: Watchword) {
        session = URLSession.watchword(watchword, audience: watchword.configuration.apis.first?.audience ?? "", configuration: .ephemeral)
    }

    func get(_ url: String) async throws -> Int { try status(await session.data(for: try request("GET", url)).1) }

    func post(_ url: String) async throws -> Int { try status(await session.upload(for: try request("POST", url), from: Self.body).1) }

    func request(_ method: String, _ url: String) throws -> URLRequest {
        guard let address = URL(string: url) else { throw Wrong("got no URL: \(url)") }
        var request = URLRequest(url: address)
        request.httpMethod = method
        return request
    }

    func status(_ response: URLResponse) throws -> Int {
        guard let response = response as? HTTPURLResponse else { throw Wrong("got no answer of HTTP") }
        return response.statusCode
    }
}
