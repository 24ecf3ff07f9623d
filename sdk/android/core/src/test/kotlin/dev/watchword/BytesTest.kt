package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.Covered
import dev.watchword.internal.MalformedException
import dev.watchword.internal.Origin
import dev.watchword.internal.OwnToken
import dev.watchword.internal.P256
import dev.watchword.internal.StrictJson
import dev.watchword.internal.base64
import dev.watchword.internal.fixedWidth
import dev.watchword.internal.httpDate
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.math.BigInteger

/** Shows what is read and what is refused of JSON, base64url, points, origins and dates. */
class BytesTest {
    private fun read(text: String, limit: Int = 1000) = StrictJson.read(text.toByteArray(), limit)

    private fun refused(text: String) {
        assertThrows(text, MalformedException::class.java) { read(text) }
    }

    @Test
    fun jsonThatIsOne() {
        val text = " {\"a\" : [1, -2, 0, 1.5, 1e3, true, false, null, {}], \"\\u00e9\\n\\\"\\ud83d\\ude00\":\"x\\/\"}\r\n"
        assertEquals(
            mapOf("a" to listOf(1L, -2L, 0L, 1.5, 1000.0, true, false, null, emptyMap<String, Any>()), "é\n\"😀" to "x/"),
            read(text),
        )
        assertEquals(mapOf("n" to Long.MAX_VALUE), read("{\"n\":9223372036854775807}"))
    }

    @Test
    fun jsonThatIsNone() {
        val wrong =
            listOf(
                "", "[]", "1", "{", "{}x", "{}{}", "{'a':1}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
                "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}", "{\"a\":1,\"\\u0061\":2}",
                "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":-Infinity}", "{\"a\":1e999}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":1.}",
                "{\"a\":.5}",
                "{\"a\":-}", "{\"a\":1e}", "{\"a\":0x1}", "{\"a\":9223372036854775808}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":tru}",
                "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}",
                "{\"a\":\"\u0001\"}", "{\"a\":\"\n\"}", "{\"a\":\"x}", "\ufeff{}", "{\"a\":1}\u0000", "{\"a\":\u00a01}", "{/**/}",
            )
        wrong.forEach(::refused)
    }

    @Test
    fun jsonOfSevenDepths() {
        val eight = "{\"a\":" + "[".repeat(7) + "]".repeat(7) + "}"
        read(eight)
        refused("{\"a\":" + "[".repeat(8) + "]".repeat(8) + "}")
        refused("{\"a\":" + "[".repeat(100_000))
        refused("{\"a\":".repeat(8) + "{}" + "}".repeat(8))
        // Brackets in a text aren't levels.
        read("{\"a\":\"${"[".repeat(50)}\"}")
    }

    @Test
    fun jsonIsCappedAndUtf8() {
        assertEquals(emptyMap<String, Any?>(), read("{}", limit = 2))
        assertThrows(MalformedException::class.java) { read("{} ", limit = 2) }
        for (wrong in listOf("{\"a\":\"\u00ff\"}".toByteArray(Charsets.ISO_8859_1), "{\"a\":1}".toByteArray(Charsets.UTF_16))) {
            assertThrows(MalformedException::class.java) { StrictJson.read(wrong, 1000) }
        }
        val overlong = "{\"a\":\"".toByteArray() + byteArrayOf(0xc0.toByte(), 0xaf.toByte()) + "\"}".toByteArray()
        assertThrows(MalformedException::class.java) { StrictJson.read(overlong, 1000) }
    }

    @Test
    fun jsonIsWrittenAsItIsRead() {
        val value = linkedMapOf("b" to listOf(1L, 2.5, null, true), "a" to "é\"\\\n\u0001\u007f/😀", "c" to linkedMapOf("d" to ""))
        val text = "{\"b\":[1,2.5,null,true],\"a\":\"é\\\"\\\\\\n\\u0001\u007f/😀\",\"c\":{\"d\":\"\"}}"
        assertEquals(text, String(StrictJson.write(value)))
        assertEquals(value, StrictJson.read(StrictJson.write(value), 1000))
        val control = String(CharArray(32) { it.toChar() })
        assertEquals(control, read(String(StrictJson.write(mapOf("a" to control))))["a"])
        for (wrong in listOf(Double.NaN, Double.POSITIVE_INFINITY, "\ud800", "\udc00x", ByteArray(1))) {
            assertThrows(IllegalArgumentException::class.java) { StrictJson.write(mapOf("a" to wrong)) }
        }
    }

    @Test
    fun base64urlIsCanonical() {
        val vectors = listOf(
            "" to "",
            "f" to "Zg",
            "fo" to "Zm8",
            "foo" to "Zm9v",
            "foob" to "Zm9vYg",
            "fooba" to "Zm9vYmE",
            "foobar" to "Zm9vYmFy",
        )
        for ((bytes, text) in vectors) {
            assertEquals(text, Base64Url.encode(bytes.toByteArray()))
            assertArrayEquals(bytes.toByteArray(), Base64Url.decode(text))
        }
        assertEquals("-_8", Base64Url.encode(byteArrayOf(0xfb.toByte(), 0xff.toByte())))
        assertEquals("+/8=", base64(byteArrayOf(0xfb.toByte(), 0xff.toByte())))
        for (size in 0..50) random(size).let { assertArrayEquals(it, Base64Url.decode(Base64Url.encode(it))) }
        for (wrong in listOf("Zg==", "Zh", "Zm9", "Z", "Zm9vY", "+/8", "Zm 9v", "Zm9v\n", "Zmé", "Zm９v", "Zm9v=")) {
            assertThrows(wrong, IllegalArgumentException::class.java) { Base64Url.decode(wrong) }
        }
        assertThrows(IllegalArgumentException::class.java) { Base64Url.decode("Zm9v", limit = 3) }
    }

    @Test
    fun numbersOfFixedWidth() {
        assertArrayEquals(byteArrayOf(0, 0, 5), fixedWidth(BigInteger.valueOf(5), 3))
        assertArrayEquals(byteArrayOf(-1, -1), fixedWidth(BigInteger.valueOf(65535), 2))
        assertThrows(IllegalArgumentException::class.java) { fixedWidth(BigInteger.valueOf(65536), 2) }
        assertThrows(IllegalArgumentException::class.java) { fixedWidth(BigInteger.valueOf(-1), 2) }
    }

    @Test
    fun pointsOfTheCurve() {
        val key = newKey().public as java.security.interfaces.ECPublicKey
        val jwk = PublicKeyJwk.of(key)
        assertEquals(key.w, P256.publicKey(jwk).w)
        val x = Base64Url.decode(jwk.x)
        val y = Base64Url.decode(jwk.y)
        val prime = fixedWidth(BigInteger("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16), 32)
        val wrong =
            listOf(
                x to x,
                x to y.copyOf().also { it[31] = (it[31].toInt() xor 1).toByte() },
                ByteArray(32) to ByteArray(32),
                prime to y,
                x + byteArrayOf(0) to y,
                x.copyOf(31) to y,
            )
        for ((left, right) in wrong) assertThrows(IllegalArgumentException::class.java) { P256.publicKey(left, right) }
    }

    @Test
    fun signaturesOutOfRange() {
        val order = BigInteger("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
        val (one, last) = fixedWidth(BigInteger.ONE, 32) to fixedWidth(order - BigInteger.ONE, 32)
        assertArrayEquals(one + last, P256.fixedSignature(P256.derSignature(one + last)))
        for (wrong in listOf(ByteArray(32), fixedWidth(order, 32), ByteArray(32) { -1 })) {
            assertThrows(IllegalArgumentException::class.java) { P256.derSignature(wrong + one) }
            assertThrows(IllegalArgumentException::class.java) { P256.derSignature(one + wrong) }
            val parts = listOf(wrong, one).map { BigInteger(1, it).toByteArray() }.map { byteArrayOf(2, it.size.toByte()) + it }
            val der = byteArrayOf(0x30, (parts[0].size + parts[1].size).toByte()) + parts[0] + parts[1]
            assertThrows(IllegalArgumentException::class.java) { P256.fixedSignature(der) }
        }
    }

    @Test
    fun signaturesOfAnotherLength() {
        val der = P256.derSignature(fixedWidth(BigInteger.ONE, 32) + fixedWidth(BigInteger.TEN, 32))
        assertEquals(64, P256.fixedSignature(der).size)
        for (length in listOf(der[1] - 1, der[1] + 1, 0, 0x81)) {
            assertThrows(IllegalArgumentException::class.java) { P256.fixedSignature(der.copyOf().also { it[1] = length.toByte() }) }
        }
    }

    @Test
    fun targetsOfUrls() {
        val wanted =
            mapOf(
                "https://api.example" to ("/" to ""),
                "https://api.example?x=1" to ("/" to "x=1"),
                "https://api.example/a/../b%2Fc?" to ("/a/../b%2Fc" to ""),
                "https://api.example/a?b?c/d#e?f" to ("/a" to "b?c/d"),
                "https://ada@api.example/a#/b" to ("/a" to ""),
            )
        for ((url, target) in wanted) {
            val covered = Covered.of("GET", url, null, null)
            assertEquals(url, target, covered.path to covered.query)
            assertEquals("api.example", covered.authority)
        }
        assertThrows(IllegalArgumentException::class.java) { Covered.of("GET", "/a", null, null) }
    }

    @Test
    fun tokensThatSayWhatTheyAre() {
        fun token(claims: String) = "e30.${Base64Url.encode(claims.toByteArray())}.x"
        val key = "\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"y\":\"b\"}}"
        assertEquals(true, OwnToken.read(token("{\"sid\":\"s\",$key,\"prf\":\"device\"}"))?.isProvenByDevice)
        for (prf in listOf("\"session\"", "null", "true", "[\"device\"]")) {
            assertEquals(prf, false, OwnToken.read(token("{\"sid\":\"s\",$key,\"prf\":$prf}"))?.isProvenByDevice)
        }
        assertEquals(listOf("crv", "kty", "x", "y"), OwnToken.read(token("{\"sid\":\"s\",$key}"))?.key?.keys?.toList())
        val none =
            listOf("", "a.b", "a.b.c.d", token("{$key}"), token("{\"sid\":7,$key}"), token("{\"sid\":\"s\"}"), token("[]"), "e30.e30=.x")
        for (each in none) assertNull(each, OwnToken.read(each))
        assertNull(OwnToken.read(token("{\"sid\":\"${"s".repeat(2048)}\",$key}")))
    }

    @Test
    fun originsOfUrls() {
        assertEquals("https://api.example", Origin.of("HTTPS://API.example:443/a?b#c").toString())
        assertEquals("https://api.example:8443", Origin.of("https://api.example:8443?x").toString())
        assertEquals("https://[::1]:8443", Origin.of("https://[::1]:8443/").toString())
        assertEquals("https://api.example", Origin.of("https://ada:pw@api.example/").toString())
        assertEquals(Origin.of("https://api.example"), Origin.of("https://api.example:443"))
        for (other in listOf("http://api.example", "https://api.example.evil", "https://api.example.", "https://api.example:444")) {
            assertFalse(other, Origin.of(other) == Origin.of("https://api.example"))
        }
        val none =
            listOf(
                "", "api.example", "//api.example", "ftp://api.example", "https://", "https:///x", "https://a b/",
                "https://evil\\@api.example/",
                "https://api.example:70000/", "https://api.example:0", "https://[::1", "https://api.example\\x",
            )
        for (each in none) assertNull(each, Origin.of(each))
    }

    @Test
    fun originsThatAreSafe() {
        for (url in listOf(
            "https://api.example",
            "https://api.example/",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:1",
        )) {
            Origin.safe(url)
        }
        val wrong =
            listOf(
                "http://api.example", "http://10.0.2.2:8080", "http://127.0.0.1.evil.example", "http://localhost.evil.example",
                "https://api.example/v1", "https://api.example?x", "https://api.example#x", "http://[::2]", "ftp://localhost",
                "http://127.0.0.256",
            )
        for (url in wrong) assertThrows(url, IllegalArgumentException::class.java) { Origin.safe(url) }
    }

    @Test
    fun datesOfHttp() {
        assertEquals(784111777.0, httpDate("Sun, 06 Nov 1994 08:49:37 GMT"))
        assertEquals(1709164799.0, httpDate("Wed, 28 Feb 2024 23:59:59 GMT"))
        assertEquals(1709164800.0, httpDate("Thu, 29 Feb 2024 00:00:00 GMT"))
        val none =
            listOf(null, "", "soon", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0100", "Sun, 06 Nov 1994 24:00:00 GMT")
        for (each in none) assertNull(each, httpDate(each))
    }

    @Test
    fun patternsOfProofs() {
        val proofs = Proofs(device = listOf("/login", "/payments/**"), bearer = listOf("/*/open"), session = listOf("/payments"))
        val wanted =
            mapOf(
                "/login" to ProofKind.DEVICE,
                "/login/x" to ProofKind.SESSION,
                "/payments" to ProofKind.DEVICE,
                "/payments/1/2" to ProofKind.DEVICE,
                "/paymentsx" to ProofKind.SESSION,
                "/a/open" to ProofKind.BEARER,
                "/a/b/open" to ProofKind.SESSION,
                "/" to ProofKind.SESSION,
            )
        for ((path, kind) in wanted) assertEquals(path, kind, proofs.choose("GET", path))
        for (wrong in listOf("login", "/**/x", "")) {
            assertThrows(IllegalArgumentException::class.java) { Proofs(device = listOf(wrong)) }
        }
    }

    @Test
    fun configurationsThatCannotBeRight() {
        val api = Api("https://api.example")
        val wrong =
            listOf<() -> Any>(
                { WatchwordConfig("http://attest.example", "clinic", listOf(api)) },
                { WatchwordConfig("https://attest.example/path", "clinic", listOf(api)) },
                { WatchwordConfig("https://attest.example", "", listOf(api)) },
                { WatchwordConfig("https://attest.example", "clinic", emptyList<Api>()) },
                { WatchwordConfig("https://attest.example", "clinic", listOf(api, api)) },
                { WatchwordConfig("https://attest.example", "clinic", listOf(api, Api("other", listOf("https://API.example:443")))) },
                { WatchwordConfig("https://attest.example", "clinic", listOf(api), waitMillis = 0) },
                { Api("http://api.example") },
                { Api("clinic") },
            )
        for (each in wrong) assertThrows(IllegalArgumentException::class.java) { each() }
        val config = WatchwordConfig("https://attest.example/", "clinic", "https://api.example")
        assertEquals("https://attest.example", config.issuer)
        assertEquals(10_000, config.waitMillis)
        assertTrue(config.apis.single().toString().contains("api.example"))
    }
}
