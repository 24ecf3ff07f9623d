#if canImport(ObjectiveC)
    import Foundation
    import WatchwordKit

    /// What RCTWatchword.mm calls: Objective-C sees none of Swift's own types. Never run here.
    @objc(WWReactNative)
    public final class Door: NSObject {
        /// Adds the interception to a session's configuration.
        @objc public static func intercept(_ configuration: URLSessionConfiguration) { Bridge.intercept(configuration) }

        /// Returns what can't be right, or an empty text.
        @objc public static func configure(_ said: [String: Any]) -> String { Bridge.shared.configure(said) }

        /// Returns whether there is anything to bind.
        @objc public static func bind(_ value: String?) -> Bool { Bridge.shared.bind(value) }

        /// See `Watchword.prefetch`.
        @objc public static func prefetch() { Bridge.shared.current?.watchword.prefetch() }

        /// See `Watchword.forgetSecret`.
        @objc public static func forgetSecret(_ name: String) { Bridge.shared.current?.watchword.forgetSecret(name) }

        /// Calls `done` with code, message and details of what went wrong, or with nothing.
        @objc public static func ready(_ done: @escaping @Sendable (String?, String?, [String: Any]?) -> Void) {
            settle(done) { try await Bridge.shared.ready() }
        }

        /// See ``ready(_:)``.
        @objc public static func enrol(_ done: @escaping @Sendable (String?, String?, [String: Any]?) -> Void) {
            settle(done) { try await Bridge.shared.enrol() }
        }

        /// Calls `done` with the secret in base64, or with code, message and details of what went wrong.
        @objc public static func secret(_ name: String, done: @escaping @Sendable (String?, String?, String?, [String: Any]?) -> Void) {
            Task {
                do {
                    let value = try await Bridge.shared.secret(name)
                    done(value, nil, nil, nil)
                } catch {
                    let failure = told(error)
                    done(nil, failure.code, failure.message, failure.details.mapValues(\.value))
                }
            }
        }

        /// How this instance stands.
        @objc public static func status(_ done: @escaping @Sendable ([String: Any]) -> Void) {
            Task { done(Bridge.shared.status) }
        }

        /// Calls `listener` with what a request failed by, until ``forget(_:)`` is given what is returned.
        @objc public static func listen(_ listener: @escaping @Sendable ([String: Any]) -> Void) -> UUID {
            Bridge.shared.listen { listener($0.event) }
        }

        /// See ``listen(_:)``.
        @objc public static func forget(_ listener: UUID) { Bridge.shared.forget(listener) }

        private static func settle(
            _ done: @escaping @Sendable (String?, String?, [String: Any]?) -> Void, _ call: @escaping @Sendable () async throws -> Void
        ) {
            Task {
                do {
                    try await call()
                    done(nil, nil, nil)
                } catch {
                    let failure = told(error)
                    done(failure.code, failure.message, failure.details.mapValues(\.value))
                }
            }
        }

        private static func told(_ error: any Error) -> Failure {
            Failure.of(error) ?? Failure(code: "device-error", message: "got \(type(of: error)), which isn't one of Watchword's")
        }
    }
#endif
