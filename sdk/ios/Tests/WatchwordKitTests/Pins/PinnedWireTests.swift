import Foundation
import Testing

@testable import WatchwordKit

/// The way to the service where pins guard it: what needs no handshake.
@Suite struct PinnedWireTests {
    private let host = "api.clinic.example"

    private func transport() throws -> any Transport {
        let publisher = try PinPublisher()
        try publisher.publish([host: [sha256(Data()).base64URL(): "c"]])
        let ports = Ports(
            device: NoDevice(), store: PinStore(), clock: PinClock(), transport: ServiceTransport(),
            pins: PinPorts(store: nil, transport: publisher, background: { _ in }))
        let configuration = Watchword.Configuration(
            service: "https://\(host)", app: "clinic", apis: [Watchword.API(audience: "https://api.example")], pins: try publisher.builtin()
        )
        let pins = try #require(try Pins.of(configuration, ports))
        return pins.guarded(ports).transport
    }

    private func refusal(_ url: String) async throws -> WatchwordError.Pin? {
        do {
            _ = try await transport().get(url, headers: [:], timeout: 5)
        } catch WatchwordError.pin(let pin) {
            return pin
        } catch is URLError {
            return nil
        }
        return nil
    }

    @Test func cleartextToAPinnedHostIsRefusedBeforeAnythingIsSent() async throws {
        #expect(try await refusal("http://\(host):1/")?.message.contains("isn't TLS") == true)
        #expect(try await refusal("http://127.0.0.1:1/") == nil)
    }

    #if !canImport(Security)
        /// Nobody shows a certificate on a system without Apple's Security: what can't be judged isn't used.
        @Test func whatCannotBeJudgedIsNotUsed() async throws {
            #expect(try await refusal("https://\(host):1/")?.message.hasSuffix("pins.mismatch") == true)
            #expect(try await refusal("https://127.0.0.1:1/") == nil)
        }
    #endif
}
