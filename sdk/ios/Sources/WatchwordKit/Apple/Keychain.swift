import Foundation

#if canImport(Security)
    import Security
#endif

/// The Keychain's answers that mean something of their own here; the values are those of `SecBase.h`
/// (https://gist.github.com/lefloh/3b4200a8eca40eb3c5596e6b6a7d83e5, read 2026-11-30).
enum KeychainStatus {
    static let success: Int32 = 0
    static let notAvailable: Int32 = -25291
    static let duplicateItem: Int32 = -25299
    static let itemNotFound: Int32 = -25300
    static let interactionNotAllowed: Int32 = -25308
    static let missingEntitlement: Int32 = -34018
}

/// The Keychain's four calls, each with the status that it returned.
///
/// Every item is a generic password of this app: usable from the first unlock on, on this device alone, never synchronized.
protocol KeychainItems: Sendable {
    func read(_ account: String) -> (status: Int32, data: Data?)
    func add(_ account: String, _ data: Data) -> Int32
    func update(_ account: String, _ data: Data) -> Int32
    func delete(_ account: String) -> Int32
}

/// One document in the Keychain, replaced as a whole.
///
/// The Keychain outlives the app: who removes an app and installs it anew finds the old items. So each document begins with the
/// ``Installation`` that wrote it, and another one's is removed unread: a new installation is a new instance, as it is on Android.
struct KeychainStore: Store {
    private let items: any KeychainItems
    private let account: String
    private let installation: Installation

    /// - Parameter account: the document's name, one for each purpose.
    init(_ items: any KeychainItems, account: String, installation: Installation) {
        self.items = items
        self.account = account
        self.installation = installation
    }

    func read() throws -> Data? {
        let (status, data) = items.read(account)
        switch status {
        case KeychainStatus.success: return try own(data ?? Data())
        case KeychainStatus.itemNotFound: return nil
        default: throw keychainError(status, "read")
        }
    }

    func write(_ data: Data) throws {
        let whole = try installation.mark() + data
        var status = items.update(account, whole)
        if status == KeychainStatus.itemNotFound { status = items.add(account, whole) }
        // Another process of the app (an extension) was faster.
        if status == KeychainStatus.duplicateItem { status = items.update(account, whole) }
        if status != KeychainStatus.success { throw keychainError(status, "write") }
    }

    func clear() throws {
        let status = items.delete(account)
        if status != KeychainStatus.success, status != KeychainStatus.itemNotFound { throw keychainError(status, "remove") }
    }

    private func own(_ whole: Data) throws -> Data? {
        let mark = whole.prefix(Installation.markBytes)
        if mark.count == Installation.markBytes, try installation.isOwn(Data(mark)) { return Data(whole.dropFirst(Installation.markBytes)) }
        try clear()
        return nil
    }
}

/// Which installation of the app this is: a random mark in the app's own directory, which goes with the app as the Keychain doesn't.
///
/// The file isn't in a backup: restored to the same phone, the Keychain's items come back and App Attest's keys don't
/// (https://github.com/google/app-check/pull/41, read 2026-11-30).
struct Installation: Sendable {
    static let markBytes = 16
    private static let unknown = Data(count: markBytes)
    private let store: any Store
    private let entropy: @Sendable (Int) -> Data

    init(file: URL) { self.init(FileStore(file)) }

    init(_ store: any Store, entropy: @escaping @Sendable (Int) -> Data = Ports.systemEntropy) {
        self.store = store
        self.entropy = entropy
    }

    /// Returns the mark, made where there is none; one of zeros where none can be kept, as on a full disk.
    ///
    /// - Throws: `DeviceError` of kind `locked` while it can't be read.
    func mark() throws -> Data {
        if let mark = try kept() { return mark }
        let made = entropy(Self.markBytes)
        do {
            try store.write(made)
            return made
        } catch {
            return Self.unknown
        }
    }

    /// Whether a document with this mark is of this installation.
    ///
    /// One that was written without a mark is everybody's: else a phone with a full disk would enrol at each start.
    ///
    /// - Throws: `DeviceError` of kind `locked` while the own mark can't be read.
    func isOwn(_ mark: Data) throws -> Bool { try mark == Self.unknown || mark == kept() }

    private func kept() throws -> Data? {
        do {
            guard let mark = try store.read(), mark.count == Self.markBytes else { return nil }
            return mark
        } catch let error as DeviceError {
            // Not taken for another installation's: keys and session of a phone that is only locked would be removed.
            throw error
        } catch {
            return nil
        }
    }
}

/// One file of the app's, replaced in one step and in no backup.
struct FileStore: Store {
    /// The most that is ever kept.
    static let maxBytes = PinPorts.storeBytes
    private let file: URL

    init(_ file: URL) {
        self.file = file
    }

    func read() throws -> Data? {
        do {
            // Not asked for its size: that is an API which an app has to give a reason for.
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            let data = try handle.read(upToCount: Self.maxBytes + 1) ?? Data()
            return data.count > Self.maxBytes ? nil : data
        } catch let error as CocoaError where error.code == .fileReadNoSuchFile || error.code == .fileNoSuchFile {
            return nil
        } catch let error as CocoaError where error.code == .fileReadNoPermission {
            throw DeviceError(.locked, "a file of the app's can't be read before the phone is unlocked")
        }
    }

    func write(_ data: Data) throws {
        let manager = FileManager.default
        try manager.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        #if os(iOS)
            // An app whose files can all be read only while the phone is unlocked is woken while it is locked too.
            try data.write(to: file, options: [.atomic, .completeFileProtectionUntilFirstUserAuthentication])
        #else
            try data.write(to: file, options: .atomic)
        #endif
        #if canImport(Darwin)
            // What can't be kept out of a backup is still the right document on this phone.
            var values = URLResourceValues()
            values.isExcludedFromBackup = true
            var url = file
            try? url.setResourceValues(values)
        #endif
    }

    func clear() throws {
        do {
            try FileManager.default.removeItem(at: file)
        } catch let error as CocoaError where error.code == .fileNoSuchFile || error.code == .fileReadNoSuchFile {
            return
        }
    }
}

private func keychainError(_ status: Int32, _ doing: String) -> DeviceError {
    switch status {
    case KeychainStatus.interactionNotAllowed, KeychainStatus.notAvailable:
        return DeviceError(.locked, "the Keychain can't \(doing) an item before the phone is unlocked (\(status))")
    case KeychainStatus.missingEntitlement:
        return DeviceError(
            .fault, "the Keychain refuses this app (\(status)): expected a signed app; give a test a host app, or the entitlement")
    default:
        return DeviceError(.fault, "the Keychain can't \(doing) an item (\(status))")
    }
}

#if canImport(Security)
    /// The Keychain of this phone.
    struct SystemKeychain: KeychainItems {
        /// - Parameter service: what sets the SDK's items apart from the app's own.
        let service: String

        func read(_ account: String) -> (status: Int32, data: Data?) {
            var query = item(account)
            query[kSecReturnData] = true
            query[kSecMatchLimit] = kSecMatchLimitOne
            var found: CFTypeRef?
            let status = SecItemCopyMatching(query as CFDictionary, &found)
            return (status, found as? Data)
        }

        func add(_ account: String, _ data: Data) -> Int32 {
            var attributes = item(account)
            attributes[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            attributes[kSecValueData] = data
            return SecItemAdd(attributes as CFDictionary, nil)
        }

        func update(_ account: String, _ data: Data) -> Int32 {
            SecItemUpdate(item(account) as CFDictionary, [kSecValueData: data] as CFDictionary)
        }

        func delete(_ account: String) -> Int32 { SecItemDelete(item(account) as CFDictionary) }

        private func item(_ account: String) -> [CFString: Any] {
            [
                kSecClass: kSecClassGenericPassword,
                kSecAttrService: service,
                kSecAttrAccount: account,
                kSecAttrSynchronizable: false,
                // On a Mac: the Keychain that works as a phone's. Without meaning elsewhere.
                kSecUseDataProtectionKeychain: true,
            ]
        }
    }
#endif
