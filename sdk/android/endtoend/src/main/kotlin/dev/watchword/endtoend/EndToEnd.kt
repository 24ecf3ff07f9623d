@file:JvmName("EndToEnd")

package dev.watchword.endtoend

import dev.watchword.DeviceException
import dev.watchword.Pins
import dev.watchword.ProofKind
import dev.watchword.SelfTest
import dev.watchword.Watchword
import dev.watchword.WatchwordException
import dev.watchword.send
import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.io.PrintWriter
import java.io.StringWriter
import java.net.URL
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicBoolean

private val OURS = setOf("watchword-token", "watchword-status", "signature", "signature-input", "dpop", "content-digest")
private const val REVOKED_WITHIN = 60
private const val PAUSE_MILLIS = 100L
private const val PATIENCE = 600
private const val CALLERS = 8
private const val RENEWALS = 10

/**
 * Tries the shipped adapters on a simulated phone against a real deployment, and prints one JSON object a line: which check
 * it was, and what went wrong, null for nothing.
 *
 * Arguments: the file with the addresses, an empty directory for the phones, and the names of checks; all where there are none.
 */
fun main(arguments: Array<String>) {
    val world = World(JSONObject(File(arguments[0]).readText()))
    val root = File(arguments[1])
    val names = arguments.drop(2)
    for ((name, check) in Checks(world, root).all.filterKeys { names.isEmpty() || it in names }) {
        val wrong = try {
            check()
            JSONObject.NULL
        } catch (error: Throwable) {
            StringWriter().also { error.printStackTrace(PrintWriter(it)) }.toString()
        }
        println(JSONObject().put("check", name).put("wrong", wrong))
    }
    System.out.flush()
    Runtime.getRuntime().halt(0)
}

private class Checks(private val world: World, private val root: File) {
    val all: Map<String, () -> Unit> = mapOf(
        "tee" to { serves("genuine-android", "hardware") },
        "strongbox" to { serves("strongbox-android", "hardware", strongBox = true) },
        "rootless-rkp" to { serves("rootless-rkp-android", "hardware") },
        "strongbox-asked-of-a-tee" to { serves("v400-android", "hardware", strongBox = true) },
        "android-11" to { serves("v4-android", "hardware", system = 30) },
        "operators-code" to ::operatorsCode,
        "play" to ::play,
        "bad-phones" to ::badPhones,
        "renewal-under-load" to ::renewalUnderLoad,
        "restart" to ::restart,
        "revocation" to ::revocation,
        "secret" to ::secret,
        "lost-answers" to ::lostAnswers,
        "lost-answer-of-the-service" to ::lostAnswerOfTheService,
        "redirect" to ::redirect,
        "bad-hosts" to ::badHosts,
        "keystore-failures" to ::keystoreFailures,
        "not-unlocked-yet" to ::notUnlockedYet,
        "url-connection" to ::urlConnection,
        "self-test" to ::selfTest,
        "pins-over-the-air" to ::pinsOverTheAir,
        "interception" to ::interception,
        "failure-over-http2" to ::failureOverHttp2,
    )

    private var phones = 0

    private fun <T> on(kind: String, system: Int = 36, body: Handset.() -> T): T {
        phones += 1
        val name = "kotlin-$phones"
        return Handset(world, File(root, name).also { it.mkdirs() }, kind, name, system).use(body)
    }

    /** Sends what each API serves, by each proof, with a body and without. */
    private fun serves(kind: String, level: String, strongBox: Boolean = false, system: Int = 36): Unit = on(kind, system) {
        servedEverywhere(start(strongBox = strongBox), level)
    }

    private fun servedEverywhere(watchword: Watchword, level: String) {
        world.control("forget")
        val http = Http(watchword)
        for (api in world.apis) {
            for (path in listOf("records", "payments", "patients")) {
                same(200, http.get("${world.url(api)}/$path/1?a=%20&b"), "GET $api/$path")
                same(200, http.post("${world.url(api)}/$path/2"), "POST $api/$path")
            }
        }
        same(level, watchword.level, "level")
        val rows = world.seen()
        same(world.apis.size * 6, rows.size, "requests at the API")
        for (row in rows) same(emptySet<String>(), fields(row) intersect OURS - "content-digest", "fields at the API")
    }

    private fun operatorsCode(): Unit = on("genuine-android") {
        val code = (world.control("invite", "platform" to "android") as JSONObject).getString("code")
        val watchword = startWithCode(code)
        servedEverywhere(watchword, "hardware")
        same(200, Http(startWithCode(code)).get("${world.url("proxy")}/records/1"), "the same instance in the next process")
    }

    private fun play(): Unit = on("play-phone") {
        servedEverywhere(startWithPlay(), "verified")
    }

    private fun badPhones() {
        for ((kind, reason) in mapOf(
            "emulator" to "attestation.anchor_software",
            "unlocked-android" to "policy.bootloader_unlocked",
            "repackaged-android" to "policy.signing_digest",
            "revoked-android" to "attestation.revoked",
        )) {
            on(kind) {
                val refused = thrown<WatchwordException.Refused> { start().token(AUDIENCE) }
                same("evidence-refused", refused.code, kind)
                check(reason in refused.reasons) { "$kind: got ${refused.reasons}" }
            }
        }
    }

    private fun renewalUnderLoad(): Unit = on("genuine-android") {
        val watchword = start()
        val http = Http(watchword)
        val ended = AtomicBoolean()
        val pool = Executors.newFixedThreadPool(CALLERS)
        val statuses = (0 until CALLERS).map { caller ->
            pool.submit(
                Callable {
                    val api = world.apis[caller % world.apis.size]
                    val path = if (caller % 2 == 0) "records" else "payments"
                    val found = mutableListOf<Int>()
                    while (!ended.get()) found += http.get("${world.url(api)}/$path/$caller")
                    found
                },
            )
        }
        http.get("${world.url("proxy")}/records/0")
        repeat(RENEWALS) { watchword.renew() }
        world.control("rotate", "purpose" to "tokens")
        world.control("rotate", "purpose" to "gates")
        repeat(RENEWALS) { watchword.renew() }
        ended.set(true)
        val found = statuses.flatMap { it.get() }
        pool.shutdown()
        same(setOf(200), found.toSet(), "statuses of ${found.size} requests")
        check(found.size > CALLERS) { "expected more than ${found.size} requests" }
    }

    private fun restart(): Unit = on("genuine-android") {
        val before = instances().size
        same(200, Http(start()).get("${world.url("proxy")}/records/1"), "before")
        same(200, Http(start()).get("${world.url("proxy")}/records/1"), "in the next process")
        phone.reboot()
        same(200, Http(start()).get("${world.url("proxy")}/records/1"), "after a reboot")
        same(before + 1, instances().size, "instances")
        phone.restoreFiles()
        same(200, Http(start()).get("${world.url("proxy")}/records/1"), "files of a backup without the keys")
        same(before + 2, instances().size, "instances after the restored backup")
    }

    private fun revocation(): Unit = on("genuine-android") {
        val before = instances()
        val http = Http(start())
        same(200, http.get("${world.url("nginx")}/records/1"), "before")
        world.control("revoke", "instance" to (instances() - before).single())
        var refused: WatchwordException.Refused? = null
        repeat(REVOKED_WITHIN) {
            if (refused == null) {
                try {
                    http.get("${world.url("nginx")}/records/1")
                    Thread.sleep(PAUSE_MILLIS)
                } catch (error: WatchwordException.Refused) {
                    refused = error
                }
            }
        }
        same("instance-refused", refused?.code, "after the revocation")
    }

    private fun secret(): Unit = on("genuine-android") {
        val text = start().secret(world.secret.getString("name")).use { it.text() }
        same(world.secret.getString("value"), text, "the secret")
    }

    private fun lostAnswers(): Unit = on("genuine-android") {
        val http = Http(start())
        for (api in world.apis) {
            val relay = world.relay(api)
            for ((path, proof) in mapOf("records" to "session", "payments" to "device")) {
                world.control("forget")
                same(200, http.get("$relay/$path/0"), "$api, $proof, whole")
                world.control("lose", "relay" to api, "answers" to 1)
                thrown<WatchwordException.OutcomeUnknown> { http.post("$relay/$path/1") }
                world.control("lose", "relay" to api, "answers" to 1)
                same(200, http.get("$relay/$path/2"), "$api, $proof, lost")
                val lines = world.seen().map { "${it.getString("method")} ${it.getString("target").substringAfterLast("/")}" }
                same(listOf("GET 0", "POST 1", "GET 2", "GET 2"), lines, "$api, $proof")
            }
        }
    }

    private fun lostAnswerOfTheService(): Unit = on("genuine-android") {
        val watchword = start(world.relay("service"))
        world.control("lose", "relay" to "service", "answers" to 1)
        val http = Http(watchword)
        val first = runCatching { http.get("${world.url("proxy")}/records/1") }.getOrNull()
        same(200, first ?: http.get("${world.url("proxy")}/records/1"), "in one attempt of the app's or two")
    }

    private fun redirect(): Unit = on("genuine-android") {
        val http = Http(start())
        for (path in listOf("records", "payments", "patients")) {
            world.control("forget")
            same(200, http.get("${world.url("proxy")}/$path/1/redirect"), "the other host's answer")
            val row = world.seen("foreign").single()
            same("/$path/1", row.getString("target"), "where it led")
            same(emptySet<String>(), fields(row) intersect OURS, "fields at the other host")
        }
    }

    private fun badHosts() {
        for (host in listOf("portal", "huge", "bomb", "truncated", "busy", "redirecting")) {
            on("genuine-android") {
                world.control("forget")
                thrown<WatchwordException.Offline> { start(world.host(host)).token(AUDIENCE) }
                check(world.seen(host).all { "/v1/challenges" in it.getString("target") }) { "$host got evidence" }
                same(emptyList<Any>(), world.seen("foreign"), "$host: requests at another host")
                same(200, Http(start()).get("${world.url("proxy")}/records/1"), "$host: afterwards")
            }
        }
    }

    private fun keystoreFailures() {
        on("rkp-android") {
            world.script(name, "on" to "android.chain", "fault" to "keys-pending-connectivity")
            thrown<WatchwordException.Offline> { start().token(AUDIENCE) }
            same(200, Http(start()).get("${world.url("proxy")}/records/1"), "with the network again")
        }
        on("rkp-android") {
            world.script(name, "on" to "android.chain", "fault" to "keys-unavailable", "times" to 100)
            thrown<WatchwordException.DeviceUnsupported> { start().token(AUDIENCE) }
        }
        on("genuine-android") {
            world.script(name, "on" to "android.chain", "fault" to "device-locked")
            thrown<WatchwordException.DeviceFailed> { start().token(AUDIENCE) }
            same(200, Http(start()).get("${world.url("proxy")}/records/1"), "unlocked")
        }
        on("genuine-android") {
            world.script(name, "on" to "android.chain", "fault" to "secure-hardware-busy", "times" to 2)
            same(200, Http(start()).get("${world.url("proxy")}/records/1"), "after two pauses")
        }
        on("strongbox-android") {
            world.script(name, "on" to "android.chain", "fault" to "strongbox-unavailable")
            same(200, Http(start(strongBox = true)).get("${world.url("proxy")}/records/1"), "in the TEE")
        }
    }

    private fun notUnlockedYet(): Unit = on("genuine-android") {
        val watchword = start()
        phone.reboot(unlocked = false)
        val error = thrown<WatchwordException.DeviceFailed> { watchword.token(AUDIENCE) }
        same(DeviceException.Kind.LOCKED, error.kind, "before the first unlock")
        phone.reboot()
        same(200, Http(watchword).get("${world.url("proxy")}/records/1"), "after it")
    }

    private fun urlConnection(): Unit = on("genuine-android") {
        val watchword = start()
        for (api in world.apis) {
            val url = URL("${world.relay(api)}/records/url?a=%20b")
            same(200, watchword.send(url).use { it.status }, "$api, GET")
            same(200, watchword.send(url, "POST", body = "{}".toByteArray()).use { it.status }, "$api, POST")
            world.control("lose", "relay" to api, "answers" to 1)
            thrown<WatchwordException.OutcomeUnknown> { watchword.send(url, "POST", body = "{}".toByteArray()) }
            world.control("lose", "relay" to api, "answers" to 1)
            same(200, watchword.send(url).use { it.status }, "$api, lost")
        }
        world.control("forget")
        val elsewhere = URL("${world.url("proxy")}/records/1/redirect")
        same(307, watchword.send(elsewhere).use { it.status }, "a redirect, which isn't followed")
        same(emptyList<Any>(), world.seen("foreign"), "requests at the other host")
    }

    /** Leaves the report where the test that runs this verifies it by the command line. */
    private fun selfTest(): Unit = on("genuine-android") {
        val paths = mapOf(ProofKind.BEARER to "patients", ProofKind.SESSION to "records", ProofKind.DEVICE to "payments")
        val report = SelfTest(phone.context, world.config(), paths.mapValues { "${world.url("proxy")}/${it.value}/1" }).run()
        check(report.passed) { report.json() }
        File(root, "self-test.json").writeText(report.json())
        File(root, "chain.pem").writeText(checkNotNull(report.chain()))
        same(0, phone.keystore.held.size, "keys that it left behind")
        same(emptyList<String>(), phone.noBackup.list()?.toList(), "files that it left behind")
    }

    /** A key that no release knows comes over the air, and the server turns to it: nobody installs anything. */
    private fun pinsOverTheAir() {
        val (release, url) = world.release() to "${world.pinned("url")}/records/1"
        var newest = 0L
        on("genuine-android") {
            val watchword = start(pins = release)
            val (pins, http) = checkNotNull(watchword.pins) to Http(watchword)
            val first = pins.version
            same(200, http.get(url), "by the pins of the release")
            same("h2", http.protocol, "the protocol")
            world.control("plan")
            val second = hears(watchword, pins, first)
            world.control("turn")
            same(200, http.get(url), "the server shows the next key")
            same(200, http.post(url), "POST to it")
            world.control("settle")
            newest = hears(watchword, pins, second)
            same(200, http.get(url), "without the old key's pin")
            same(null, pins.fault, "fault")
            same(newest, start(pins = release).pins?.version, "the version of the set in the next process")
        }
        on("genuine-android") {
            val watchword = start(pins = release)
            watchword.prefetch()
            until("a phone that was off meanwhile has the set") { watchword.pins?.version == newest }
            same(200, Http(watchword).get(url), "it goes on")
        }
    }

    /** Returns the version of a set that is newer than [before], which the phone hears of beside a token. */
    private fun hears(watchword: Watchword, pins: Pins, before: Long): Long {
        until("newer pins than $before") {
            watchword.renew()
            pins.version > before
        }
        return pins.version
    }

    /** Somebody whose authority the phone trusts stands in between: an app without pins hands over its token. */
    private fun interception() {
        val (genuine, between) = "${world.pinned("url")}/records/1" to "${world.pinned("between")}/records/1"
        on("genuine-android") {
            val watchword = start()
            val http = Http(watchword)
            same(200, http.get(between), "without pins")
            same("h2", http.protocol, "the protocol")
            same(200, watchword.send(URL(between)).use { it.status }, "without pins, HTTP/1.1")
            check("Watchword-Token: " in between().getString("last")) { "the interceptor read ${between()}" }
        }
        on("genuine-android") {
            val (watchword, reported) = start(pins = world.release()) to reported()
            val http = Http(watchword)
            same(200, http.get(genuine), "the genuine server")
            val before = between()
            for (send in listOf({ http.get(between) }, { http.post(between) }, { watchword.send(URL(between)) })) {
                val error = thrown<WatchwordException.Pin> { send() }
                same(world.pinned("host"), error.host, "the host that is named")
            }
            // It counts by itself who came, while the phone goes on.
            until("somebody came to the interceptor") { between().getInt("connections") > before.getInt("connections") }
            same(before.getInt("requests"), between().getInt("requests"), "requests that the interceptor read")
            same(200, http.get(genuine), "the genuine server again")
            until("the report has arrived") { reported() == reported + 1 }
        }
    }

    /** Over HTTP/2 OkHttp would try again without end, on the same connection, what fails below its retries. */
    private fun failureOverHttp2(): Unit = on("genuine-android") {
        val http = Http(start())
        same(200, http.get("${world.pinned("url")}/records/1"), "before")
        same("h2", http.protocol, "the protocol")
        var asked = 0
        phone.keystore.script = { call, _ ->
            if (call == "sign") {
                asked += 1
                throw IllegalStateException("a defect of the phone")
            }
        }
        thrown<WatchwordException.DeviceFailed> { http.get("${world.pinned("url")}/payments/1") }
        same(1, asked, "signatures that were asked for")
    }

    /** Returns what was read in between. */
    private fun between(): JSONObject = world.control("between") as JSONObject

    /** Returns how many refused connections to the pinned host phones reported. */
    private fun reported(): Int {
        val groups = world.control("reports") as JSONArray
        return List(groups.length(), groups::getJSONObject).sumOf {
            if (it.getString("host") == world.pinned("host")) it.getInt("refused") else 0
        }
    }

    private fun until(what: String, isTrue: () -> Boolean) {
        repeat(PATIENCE) { if (isTrue()) return else Thread.sleep(PAUSE_MILLIS) }
        error("waited long enough, expected that $what")
    }

    private fun instances(): Set<String> {
        val rows = world.control("instances") as JSONArray
        return (0 until rows.length()).map { rows.getJSONObject(it).getString("instance") }.toSet()
    }

    private fun fields(row: JSONObject): Set<String> = row.getJSONObject("headers").keys().asSequence().toSet()

    private fun same(expected: Any?, got: Any?, what: String) {
        check(expected == got) { "$what: got $got, expected $expected" }
    }

    private inline fun <reified E : Throwable> thrown(body: () -> Any?): E {
        val found = try {
            body()
        } catch (error: Throwable) {
            if (error is E) return error
            throw IllegalStateException("got $error, expected ${E::class.java.simpleName}", error)
        }
        error("got $found, expected ${E::class.java.simpleName}")
    }

    private companion object {
        const val AUDIENCE = "https://proxy.clinic.example"
    }
}
