package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.CertificatePins
import dev.watchword.internal.FetchedSet
import dev.watchword.internal.HttpPinSource
import dev.watchword.internal.Installed
import dev.watchword.internal.KeptPins
import dev.watchword.internal.PinDocuments
import dev.watchword.internal.PinKeeper
import dev.watchword.internal.PinRefusal
import dev.watchword.internal.PinReports
import dev.watchword.internal.PinSource
import dev.watchword.internal.PinUpdater
import dev.watchword.internal.Seen
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import java.io.IOException

/** Goes through the steps of a vector of pins as an installed app does. */
internal class PinVectors(private val pins: JSONObject, private val vector: JSONObject) {
    private var builtin = PinDocuments.builtin(document(vector.getString("builtin")))
    private var installed = Installed.fresh(builtin)
    private var now = 0.0
    private val keeper = PinKeeper(installed, { now })
    private var connection = "" to emptyList<String>()
    private var generation = -1L
    private var posts = 0
    private var arrives = true
    private val reports = PinReports({ _, _ -> arrives.also { posts++ } }, { it() })

    fun run() {
        val steps = vector.getJSONArray("steps")
        assertTrue(steps.length() > 0)
        for (index in 0 until steps.length()) take(steps.getJSONObject(index))
    }

    private fun take(step: JSONObject) {
        val before = installed
        val refused = try {
            act(step)
            null
        } catch (error: PinRefusal) {
            error.reason
        }
        assertEquals(step.toString(), step.opt("refused"), refused)
        if (refused != null && step.getString("do") != "restart") assertEquals(before, installed)
        step.optJSONObject("state")?.let { state ->
            assertEquals(state.getLong("roots"), installed.roots.version)
            assertEquals(if (state.isNull("set")) null else state.getLong("set"), installed.set?.version)
            assertEquals(state.getLong("seen"), installed.seen)
        }
    }

    private fun act(step: JSONObject): Unit = when (val what = step.getString("do")) {
        "install" -> begin(document(step.getString("document")))
        "roots" -> installed = installed.withRoots(padded(step))
        "set" -> installed = installed.withSet(padded(step), step.getDouble("now"))
        "restart" -> restart(step)
        "fresh" -> assertEquals(step.getBoolean("expect"), installed.isFresh(step.getDouble("now")))
        "judge" -> judge(step)
        "pin" -> pin(step)
        "store" -> store(step)
        "secret" -> secret(step)
        "connect" -> connect(step)
        "write" -> write(step)
        "cleartext" -> cleartext(step)
        "fetch" -> fetch(step)
        "due" -> due(step)
        "hear" -> hear(step)
        "tell" -> tell(step)
        else -> throw AssertionError("got the step $what, which this runner doesn't know")
    }

    private fun document(name: String): ByteArray = pins.getJSONObject("documents").getString(name).toByteArray()

    private fun padded(step: JSONObject): ByteArray {
        val data = document(step.getString("document"))
        return data + ByteArray(maxOf(0, step.optInt("pad_to") - data.size)) { ' '.code.toByte() }
    }

    private fun begin(file: ByteArray) {
        builtin = PinDocuments.builtin(file)
        installed = Installed.fresh(builtin)
    }

    private fun restart(step: JSONObject) {
        begin(document(step.getString("builtin")))
        val lists = step.getJSONArray("lists").texts().map(::document)
        installed = Installed.restored(builtin, lists, if (step.isNull("set")) null else document(step.getString("set")))
    }

    private fun judge(step: JSONObject) {
        val (host, chain, at) = Triple(step.getString("host"), step.getJSONArray("chain").texts(), step.getDouble("now"))
        val judgement = installed.judge(host, chain, at)
        val expect = step.getJSONObject("expect")
        val found = mapOf(
            "passes" to judgement.passes,
            "basis" to judgement.basis.text,
            "report" to judgement.isReported,
            "withhold" to judgement.withholds,
            "mismatch" to judgement.isMismatch,
            "version" to judgement.version,
        )
        assertEquals(found, expect.keys().asSequence().associateWith { if (it == "version") expect.getLong(it) else expect.get(it) })
        val seen = Seen(host, chain, judgement, at, installed)
        if (step.has("report_to")) assertEquals(if (step.isNull("report_to")) null else step.getString("report_to"), PinReports.url(seen))
        step.optJSONObject("report_document")?.let { document ->
            val written = JSONObject(String(PinReports.document(seen)))
            assertEquals(document.keys().asSequence().toSet(), written.keys().asSequence().toSet())
            for (name in document.keys()) assertEquals(document.get(name).toString(), written.get(name).toString())
        }
    }

    private fun pin(step: JSONObject) =
        assertEquals(step.opt("expect"), CertificatePins.of(java.util.Base64.getDecoder().decode(step.getString("certificate"))))

    private fun store(step: JSONObject) {
        val (kept, next) = listOf("kept", "new").map { name ->
            step.getJSONArray(name).let { KeptPins(it.getLong(0), emptyList(), null, it.getLong(1)) }
        }
        assertEquals(step.getBoolean("replaced"), next.mayReplace(kept.rootsVersion, kept.seen))
    }

    private fun keeperAt(step: JSONObject): PinKeeper {
        keeper.replace(installed)
        now = step.getDouble("now")
        return keeper
    }

    private fun secret(step: JSONObject) {
        val judgement = keeperAt(step).judge(step.getString("host"), step.getJSONArray("chain").texts())
        // A connection that doesn't pass carries no secret either.
        assertEquals(step.getBoolean("withheld"), !judgement.passes || keeper.withholds(step.getString("host")))
    }

    private fun connect(step: JSONObject) {
        connection = step.getString("host") to step.getJSONArray("chain").texts()
        generation = keeperAt(step).generation
        assertEquals(step.getBoolean("passes"), keeper.judge(connection.first, connection.second).passes)
    }

    private fun write(step: JSONObject) {
        val passes = keeperAt(step).generation == generation || keeper.judge(connection.first, connection.second).passes
        assertEquals(step.getBoolean("passes"), passes)
    }

    private fun cleartext(step: JSONObject) =
        assertEquals(step.getBoolean("passes"), !keeperAt(step).refusesCleartext(step.getString("host")))

    private fun fetch(step: JSONObject) {
        val headers = step.getJSONObject("headers").let { all -> all.keys().asSequence().associateWith(all::getString) }
        val answer = Answer(step.getInt("status"), headers, ByteArray(step.getInt("bytes")) { 'x'.code.toByte() })
        val transport = object : Transport {
            override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int) =
                throw AssertionError("nothing is posted")

            override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer {
                assertEquals("identity", headers["Accept-Encoding"])
                return answer
            }
        }
        val source = HttpPinSource("https://attest.example", pins.getString("app"), transport)
        val came = try {
            val found = if (step.getString("of") == "set") source.newest(null)?.data else source.roots(1)
            if (found == null) "nothing" else "taken"
        } catch (_: IOException) {
            "failed"
        }
        assertEquals(step.getString("expect"), came)
    }

    private fun updated(step: JSONObject): PinUpdater {
        now = step.getDouble("now")
        val failures = step.getInt("failures")
        val source = object : PinSource {
            override fun roots(version: Long): ByteArray? = if (failures > 0) throw IOException("out of reach") else null

            override fun newest(etag: String?): FetchedSet? = null
        }
        val updater = PinUpdater(builtin, source, null, { now }, { step.optDouble("jitter", 0.5) })
        repeat(maxOf(1, failures)) { updater.update() }
        return updater
    }

    private fun due(step: JSONObject) {
        val updater = updated(step)
        now += step.getDouble("expect") - 1
        assertFalse(updater.isDue())
        now += 1
        assertTrue(updater.isDue())
    }

    private fun hear(step: JSONObject) {
        val updater = updated(step)
        assertFalse(updater.isDue())
        updater.hear(step.getLong("version"))
        assertEquals(step.getBoolean("due"), updater.isDue())
    }

    private fun tell(step: JSONObject) {
        val chain = listOf(step.getString("leaf"))
        Base64Url.decode(chain.single())
        val at = step.getDouble("now")
        val before = posts
        arrives = step.getBoolean("arrives")
        reports.tell(Seen(HOST, chain, installed.judge(HOST, chain, at), at, installed))
        assertEquals(step.getBoolean("sent"), posts > before)
    }

    private fun JSONArray.texts(): List<String> = List(length()) { getString(it) }

    private companion object {
        const val HOST = "api.clinic.example"
    }
}
