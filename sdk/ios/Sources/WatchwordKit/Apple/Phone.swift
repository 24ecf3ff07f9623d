import Foundation

extension Watchword {
    /// Makes the one instance of this app at its service, on this phone. It returns at once: nothing is read, made or sent before it is
    /// needed, or before ``prefetch()``.
    ///
    /// ```swift
    /// let watchword = try Watchword(
    ///     .init(service: "https://attest.example", app: "clinic-ios", audiences: ["https://api.example"]))
    /// watchword.prefetch()
    /// ```
    ///
    /// Keys live in the Secure Enclave and in App Attest, the session in the Keychain: on this device alone, usable from the first
    /// unlock on. Pins that were fetched lie in a file that no backup has.
    ///
    /// - Throws: ``ConfigurationError`` on what can't be right.
    public convenience init(_ configuration: Configuration) throws {
        let phone = Phone(configuration)
        try self.init(configuration, ports: phone.ports(phone.device()))
    }
}

/// What belongs to one app at one service on this phone; another service or app has keys and documents of its own.
@_spi(Phone)
public struct Phone: Sendable {
    /// App Attest's three keys.
    static let keys = "keys"

    private let configuration: Watchword.Configuration
    private let name: String
    private let directory: URL
    private let keychain: any KeychainItems
    private let installation: Installation

    /// - Parameter kind: tells instances of the same app and service apart.
    public init(_ configuration: Watchword.Configuration, kind: String = "phone") {
        self.init(configuration, kind: kind, directory: Self.directory, keychain: Self.keychain)
    }

    /// - Parameter program: the app or the extension of it that runs: they may share a Keychain and don't share a directory, so each
    ///   would take the other's documents for those of an earlier installation, and remove them.
    init(
        _ configuration: Watchword.Configuration, kind: String, directory: URL, keychain: any KeychainItems,
        program: String = Bundle.main.bundleIdentifier ?? ""
    ) {
        self.configuration = configuration
        self.directory = directory
        self.keychain = keychain
        let hash = Base64URL.encode(sha256(Data("\(configuration.service)\n\(configuration.app)\n\(program)".utf8)))
        name = "\(kind)-\(hash.prefix(16))"
        installation = Installation(file: directory.appendingPathComponent("installation"))
    }

    /// Returns the document of this purpose.
    func store(_ purpose: String) -> any Store {
        KeychainStore(keychain, account: "\(name).\(purpose)", installation: installation)
    }

    /// Returns the ports of a device on this phone.
    public func ports(_ device: any Device) -> Ports {
        Ports(device: device, store: store("session"), clock: SystemClock(), transport: ServiceTransport(), pins: pins)
    }

    /// Returns the device that attests by App Attest.
    ///
    /// - Parameters:
    ///   - service: another than Apple's, for a simulated phone.
    ///   - keys: others than the Secure Enclave's.
    public func device(service: (any AppAttestService)? = nil, keys: (any PhoneKeys)? = nil) -> any Device {
        let isExtension = Bundle.main.bundleURL.pathExtension == "appex"
        return device(AppAttestor(service: service ?? SystemAppAttest(), isExtension: isExtension), keys: keys ?? EnclaveKeys())
    }

    /// Returns a device that somebody else vouches for.
    public func device(_ attestor: any Attestor, keys: any PhoneKeys) -> any Device {
        PhoneDevice(attestor, keys: keys, store: store(Self.keys))
    }

    /// Removes keys and documents.
    func remove() throws {
        for purpose in ["session", Self.keys] { try store(purpose).clear() }
        try fetched.clear()
    }

    /// Hundreds of kilobytes, and signed: nothing for the Keychain.
    private var fetched: FileStore { FileStore(directory.appendingPathComponent("\(name).pins")) }

    private var pins: PinPorts? {
        configuration.pins.map { _ in PinPorts(store: fetched, transport: ServiceTransport(limit: PinPorts.answerBytes)) }
    }

    #if canImport(Security)
        private static var keychain: any KeychainItems { SystemKeychain(service: "dev.watchword") }

        private static var directory: URL {
            let base = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask).first
            return (base ?? FileManager.default.temporaryDirectory).appendingPathComponent("dev.watchword")
        }
    #else
        // No phone: for the SDK's own tests, which say where.
        private static var keychain: any KeychainItems { DirectoryKeychain(directory: directory.appendingPathComponent("keychain")) }

        private static var directory: URL {
            let path = ProcessInfo.processInfo.environment["WATCHWORD_LAB_DIRECTORY"]
            return path.map { URL(fileURLWithPath: $0) } ?? FileManager.default.temporaryDirectory.appendingPathComponent("dev.watchword")
        }
    #endif
}

#if !canImport(Security)
    /// A Keychain made of files, in clear: for the SDK's own tests on systems that have none.
    private struct DirectoryKeychain: KeychainItems {
        let directory: URL

        func read(_ account: String) -> (status: Int32, data: Data?) {
            guard let data = try? FileStore(file(account)).read() else { return (KeychainStatus.itemNotFound, nil) }
            return (KeychainStatus.success, data)
        }

        func add(_ account: String, _ data: Data) -> Int32 {
            read(account).data == nil ? write(account, data) : KeychainStatus.duplicateItem
        }

        func update(_ account: String, _ data: Data) -> Int32 {
            read(account).data == nil ? KeychainStatus.itemNotFound : write(account, data)
        }

        func delete(_ account: String) -> Int32 {
            let wasThere = read(account).data != nil
            try? FileStore(file(account)).clear()
            return wasThere ? KeychainStatus.success : KeychainStatus.itemNotFound
        }

        private func write(_ account: String, _ data: Data) -> Int32 {
            (try? FileStore(file(account)).write(data)) == nil ? -36 : KeychainStatus.success
        }

        private func file(_ account: String) -> URL { directory.appendingPathComponent(account) }
    }
#endif
