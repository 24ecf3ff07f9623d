import CryptoKit
import Foundation
import Testing

@Suite struct ShimTests {
    @Test func hashesAbc() {
        #expect(
            SHA256.hash(data: Data("abc".utf8)).description
                == "SHA256 digest: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
