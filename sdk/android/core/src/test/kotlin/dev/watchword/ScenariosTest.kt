package dev.watchword

import org.json.JSONArray
import org.json.JSONObject
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import java.io.File
import java.io.IOException
import java.io.OutputStream
import java.net.SocketTimeoutException
import java.util.ArrayDeque
import java.util.concurrent.Executor
import kotlin.math.abs

/** Passes docs/sdk-scenarios.json: what every client does, as the Python client does it. */
@RunWith(Parameterized::class)
class ScenariosTest(@Suppress("unused") private val id: String, private val scenario: JSONObject) {
    @Test
    fun passes() {
        Scenario(scenario).run()
    }

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun scenarios(): List<Array<Any>> =
            Scenario.all().map { arrayOf<Any>(it.getString("id"), it) }.also { println("scenarios: ${it.size}") }
    }
}

/** Plays one scenario. */
class Scenario(private val scenario: JSONObject) {
    private val config = with("config")
    private val jitter = scenario.optDouble("jitter", DOCUMENT.getJSONObject("defaults").getDouble("jitter"))
    private val device = with("device")
    private val phone = SimulatedPhone(device.getString("proof_key") == "stated", device.getBoolean("can_open"))
    private val clock =
        with("clock").let {
            SimulatedClock(it.getDouble("time"), it.getDouble("wall_ahead"), it.getDouble("boot"), it.getString("boot_id"))
        }
    private val world = ScriptedWorld(config, clock, phone, ::beside)
    private val store = MemoryStore()
    private val waits = ArrayList<Double>()
    private val audience = config.getJSONArray("audiences").getString(0)
    private var saved: ByteArray? = null
    private var watchword = start()

    fun run() {
        script(device.getJSONObject("calls"))
        val steps = scenario.getJSONArray("steps")
        for (index in 0 until steps.length()) {
            val step = steps.getJSONObject(index)
            try {
                play(step)
            } catch (error: Throwable) {
                throw AssertionError("step ${index + 1} (${step.getString("call")}): ${error.message}", error)
            }
        }
    }

    private fun play(step: JSONObject) {
        world.begin(step.optJSONArray("exchanges"))
        waits.clear()
        val callers = step.optInt("callers", 1)
        if (callers == 1) {
            judge(step)
        } else {
            val failures = java.util.Collections.synchronizedList(ArrayList<Throwable>())
            val threads =
                List(callers) {
                    Thread {
                        try {
                            judge(step)
                        } catch (error: Throwable) {
                            failures += error
                        }
                    }.apply { isDaemon = true }
                }
            threads.forEach(Thread::start)
            threads.forEach(Thread::join)
            failures.firstOrNull()?.let { throw it }
        }
        world.end()
        val wanted = step.optJSONArray("waits")?.let { list -> List(list.length()) { list.getDouble(it) } }.orEmpty()
        if (wanted.size != waits.size || wanted.zip(waits).any { (left, right) -> abs(left - right) > 1e-9 }) {
            throw AssertionError("got the waits $waits, expected $wanted")
        }
    }

    /** Makes the call of a step and compares its result or error. */
    private fun judge(step: JSONObject) {
        val got =
            try {
                call(step)
            } catch (error: WatchwordException) {
                ScriptedWorld.same("error", step.opt("error"), error.code)
                if (step.has("ref")) ScriptedWorld.same("ref", step.get("ref"), (error as WatchwordException.Refused).ref)
                if (step.has("retry_after")) {
                    ScriptedWorld.same("retry_after", step.getDouble("retry_after"), (error as WatchwordException.Offline).retryAfter)
                }
                return
            } catch (error: SocketTimeoutException) {
                return ScriptedWorld.same("error", step.opt("error"), "timeout")
            } catch (error: IOException) {
                return ScriptedWorld.same("error", step.opt("error"), "connection")
            } catch (error: Death) {
                return ScriptedWorld.same("died", true, step.opt("died"))
            }
        if (step.has("error") || step.has("died")) throw AssertionError("got $got, expected an error")
        val result = step.optJSONObject("result") ?: return
        result.keys().forEach { ScriptedWorld.same(it, result.get(it), got[it]) }
    }

    private fun call(step: JSONObject): Map<String, Any> {
        when (val call = step.getString("call")) {
            "enrol" -> watchword.enrol()
            "renew" -> watchword.renew()
            "token" -> return mapOf("token" to ScriptedWorld.nameOf(watchword.token(audience)))
            "request" -> return mapOf("status" to request(step))
            "bind" -> watchword.bind(step.get("value") as? String)
            "secret" -> return mapOf("value" to watchword.secret(step.getString("name")).use(Secret::text))
            "advance" -> clock.advance(step.getDouble("seconds"))
            "clock" -> clock.set(step.getDouble("wall_ahead"))
            "device" -> script(step.getJSONObject("calls"))
            "save" -> saved = store.document
            "restart" -> restart(step)
            else -> throw AssertionError("got the call $call, which this runner doesn't know")
        }
        return emptyMap()
    }

    private fun restart(step: JSONObject) {
        when (step.optString("storage", "kept")) {
            "wiped" -> store.clear()
            "restored" -> store.document = saved
            "garbled" -> store.document = byteArrayOf(1, 2, 3)
        }
        if (step.has("boot_id")) clock.boot(step.getDouble("boot"), step.getString("boot_id"))
        if (step.optString("keys") == "lost") phone.isLost = true
        watchword = start()
    }

    private fun start(): Watchword {
        val proof = ProofKind.valueOf(config.getString("proof").uppercase())
        val audiences = config.getJSONArray("audiences")
        val apis =
            List(audiences.length()) {
                Api(
                    audiences.getString(it),
                    proof = { _, _ -> proof },
                    dpop = config.getBoolean("dpop"),
                    sendUnproved = config.getBoolean("or_without"),
                )
            }
        val all =
            WatchwordConfig(
                config.getString("service"),
                config.getString("app"),
                apis,
                config.getString("issuer"),
                waitMillis = 600_000,
            )
        val ports =
            Ports(
                phone,
                store,
                clock,
                world,
                worker = Executor(Runnable::run),
                sleep = {
                    waits += it
                    clock.advance(it)
                },
                jitter = { jitter },
            )
        return Watchword(all, ports)
    }

    private fun script(calls: JSONObject) {
        calls.keys().forEach { name ->
            val list = calls.getJSONArray(name)
            phone.script[name] = ArrayDeque(List(list.length()) { list.getString(it) })
        }
    }

    /** Plays steps on another thread while an answer is awaited. */
    private fun beside(steps: JSONArray) {
        var failure: Throwable? = null
        Thread {
            try {
                for (index in 0 until steps.length()) judge(steps.getJSONObject(index))
            } catch (error: Throwable) {
                failure = error
            }
        }.apply { isDaemon = true }.run {
            start()
            join()
        }
        failure?.let { throw it }
    }

    /** A body that is there, or one whose length isn't known and which can be read once. */
    private class Body(val bytes: ByteArray, val isStream: Boolean) : WireBody {
        override val length: Long get() = if (isStream) -1 else bytes.size.toLong()
        override val isRepeatable: Boolean get() = !isStream

        override fun writeTo(out: OutputStream) {
            check(!isStream) { "a stream is read once, by the wire" }
            out.write(bytes)
        }
    }

    /** Sends a request by a library that does what [Attempts] asks of an adapter. */
    private fun request(step: JSONObject): Int {
        val (method, url) = step.getString("method") to audience + step.getString("path")
        val headers = step.optJSONObject("headers")?.let { own -> own.keys().asSequence().associateWith(own::getString) }.orEmpty()
        var body =
            when {
                step.has("body") -> Body(step.getString("body").toByteArray(), isStream = false)
                step.has("stream") -> Body(step.getString("stream").toByteArray(), isStream = true)
                step.has("stream_size") -> Body(ByteArray(step.getInt("stream_size")), isStream = true)
                else -> null
            }
        val attempts = checkNotNull(watchword.attempts(AppRequest(method, url, headers["Idempotency-Key"], body)))

        fun buffer() {
            val bytes = checkNotNull(body).bytes
            if (bytes.size > Attempts.MAX_KEPT_BYTES) throw attempts.lengthMissing()
            body = Body(bytes, isStream = false)
        }
        if (attempts.wantsLength) {
            buffer()
            attempts.lengthGiven()
        }
        attempts.prepare()
        while (true) {
            val answer =
                try {
                    library(attempts, method, url, headers, body)
                } catch (error: IOException) {
                    attempts.lost(error, Attempts.isBeforeSending(error))
                    continue
                }
            when (attempts.judge(answer.status, { answer.headers[it.lowercase()] }, { answer.body })) {
                Verdict.DELIVER -> return answer.status
                Verdict.REPEAT -> Unit
                Verdict.REPEAT_WITH_LENGTH -> buffer()
            }
        }
    }

    private fun library(attempts: Attempts, method: String, url: String, headers: Map<String, String>, body: Body?): Answer {
        var at = url
        while (true) {
            val wire = attempts.sign(WireRequest(method, at, body = body))
            val removed = wire.remove.map { it.lowercase() }
            val sent = headers.mapKeys { it.key.lowercase() }.filterKeys { it !in removed } + wire.set.mapKeys { it.key.lowercase() }
            val answer = world.exchange(Received(method, at, sent, body?.bytes, body?.isStream == true))
            attempts.answered(answer.status) { answer.headers[it.lowercase()] }
            val location = answer.headers["location"]
            if (!config.getBoolean("redirects") || location == null) return answer
            at = if (location.startsWith("/")) audience + location else location
        }
    }

    private fun with(name: String): JSONObject {
        val all = JSONObject(DOCUMENT.getJSONObject("defaults").getJSONObject(name).toString())
        scenario.optJSONObject(name)?.let { own -> own.keys().forEach { all.put(it, own.get(it)) } }
        return all
    }

    companion object {
        private val DOCUMENT = JSONObject(File(System.getProperty("watchword.root"), "docs/sdk-scenarios.json").readText())

        fun all(): List<JSONObject> = DOCUMENT.getJSONArray("scenarios").let { list -> List(list.length()) { list.getJSONObject(it) } }
    }
}
