import Foundation

#if canImport(Security)
    import Security
#endif

extension PinPorts {
    /// Returns the chain that this system verifies of certificates for a host, leaf first, in DER; none where it verifies none.
    ///
    /// Elsewhere than on Apple's systems it verifies none, so that no pin matches.
    @Sendable public static func systemChains(_ presented: [Data], _ host: String) throws -> [Data] {
        #if canImport(Security)
            let certificates = presented.compactMap { SecCertificateCreateWithData(nil, $0 as CFData) }
            var trust: SecTrust?
            let policy = SecPolicyCreateSSL(true, host as CFString)
            guard certificates.count == presented.count,
                SecTrustCreateWithCertificates(certificates as CFArray, policy, &trust) == errSecSuccess, let trust
            else { return [] }
            return verifiedChain(trust)
        #else
            return []
        #endif
    }
}

#if canImport(Security)
    extension Watchword {
        /// Returns what a delegate of the app's own answers to a challenge, so that its connections are pinned like the SDK's; for
        /// `urlSession(_:didReceive:completionHandler:)` and its sibling of a task.
        ///
        /// Such a session isn't told when pins change: invalidate it now and then, or use `URLSession.watchword`.
        public func disposition(
            of challenge: URLAuthenticationChallenge
        ) -> (URLSession.AuthChallengeDisposition, URLCredential?) {
            do {
                try pins?.check(challenge)
                return (.performDefaultHandling, nil)
            } catch {
                return (.cancelAuthenticationChallenge, nil)
            }
        }
    }

    extension Pins {
        /// Returns if a connection may be used as far as pins go; any other challenge than a server's certificate passes.
        ///
        /// The system's own judgement comes after it, by default handling: pins take nothing away from that.
        func check(_ challenge: URLAuthenticationChallenge) throws {
            let space = challenge.protectionSpace
            // Also where the host isn't pinned: it may be by the time that the connection is used again.
            guard space.authenticationMethod == NSURLAuthenticationMethodServerTrust else { return }
            try check(host: space.host, verified: space.serverTrust.map(verifiedChain) ?? [])
        }
    }

    private func verifiedChain(_ trust: SecTrust) -> [Data] {
        guard SecTrustEvaluateWithError(trust, nil), let chain = SecTrustCopyCertificateChain(trust) as? [SecCertificate] else { return [] }
        return chain.map { SecCertificateCopyData($0) as Data }
    }
#endif
