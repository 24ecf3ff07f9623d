package dev.watchword.reactnative

import com.facebook.react.bridge.JavaOnlyMap
import com.facebook.react.bridge.ReactApplicationContext
import dev.watchword.phone.FakePhone
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** What a release build refuses. */
class ReleaseTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var phone: FakePhone
    private lateinit var module: WatchwordModule

    @Before
    fun start() {
        phone = FakePhone(folder.root)
        module = WatchwordModule(object : ReactApplicationContext(phone.context) {}) { it.run() }
    }

    @After
    fun close() {
        module.invalidate()
        WatchwordReactNative.use(null)
        phone.close()
    }

    private fun configure(vararg more: Pair<String, Any?>): String {
        val api = mapOf("audience" to "https://api.example", "origins" to listOf("https://api.example"), "otherwise" to "session") +
            listOf("device", "session", "bearer").associateWith { emptyList<String>() }
        val said = mapOf("service" to "https://attest.example", "app" to "clinic", "apis" to listOf(api), "waitSeconds" to 10.0)
        return module.configure(JavaOnlyMap.from(said + more))
    }

    @Test
    fun `it has no test instance and no lab phone`() {
        for ((name, value) in listOf("testInstance" to "wwt_code", "lab" to mapOf("attester" to "http://127.0.0.1:8450"))) {
            val wrong = configure(name to value)
            assertTrue(wrong, "in a release build" in wrong)
            assertNull(WatchwordReactNative.watchword)
        }
        assertEquals("", configure())
        assertNotNull(WatchwordReactNative.watchword)
    }
}
