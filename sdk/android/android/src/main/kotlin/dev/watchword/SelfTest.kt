package dev.watchword

import android.content.Context
import android.content.pm.PackageManager
import android.os.Build
import android.os.SystemClock
import dev.watchword.internal.Base64Url
import dev.watchword.internal.KeystoreDevice
import dev.watchword.internal.PlayIntegrityDevice
import dev.watchword.internal.StrictJson
import dev.watchword.internal.base64
import dev.watchword.internal.members
import dev.watchword.internal.requireBackground
import dev.watchword.internal.sha256
import dev.watchword.internal.text
import java.io.IOException
import java.net.URL
import java.util.concurrent.Executor

/**
 * Tries the SDK on a real phone, step by step, and reports what it found; for developers and for support.
 *
 * It enrols an instance of its own, beside the app's, and leaves no keys or files behind. The service counts it as any
 * other: it ends by itself when nobody renews it.
 *
 * ```kotlin
 * thread {
 *     val report = SelfTest(context, config, mapOf(ProofKind.SESSION to "https://api.example/records/1")).run()
 *     share(report.json(), report.chain())
 * }
 * ```
 *
 * @param config as the app's.
 * @param urls an address for each proof that is tried: a route of one of the configured APIs that asks for it. The step fails
 *   where the answer came to a request with another proof.
 * @param strongBox as the app's.
 * @param playIntegrity the app's adapter, null where it has none.
 * @param transport as the app's.
 */
public class SelfTest
@JvmOverloads
constructor(
    context: Context,
    private val config: WatchwordConfig,
    private val urls: Map<ProofKind, String>,
    private val strongBox: Boolean = false,
    private val playIntegrity: PlayIntegrity? = null,
    private val transport: Transport = HttpTransport(),
) {
    private val context = context.applicationContext
    private val steps = mutableListOf<SelfTestReport.Step>()
    private val parts = AndroidParts(this.context, config, kind = "selftest")
    private val watched = WatchedDevice(device())

    @Volatile private var wanted = ProofKind.BEARER

    /**
     * Runs every step, whatever became of those before it. Takes some seconds.
     *
     * @throws IllegalStateException on the main thread.
     */
    public fun run(): SelfTestReport {
        requireBackground("SelfTest.run")
        step("clock") { clock() }
        step("storage") { storage() }
        // Its work runs on this thread: what takes longer than the app would wait isn't still under way when keys are removed.
        val worker = Executor { it.run() }
        val ports = Ports(watched, parts.session, parts.clock, transport, worker, mayBlock = { mayBlock() }, pins = parts.pins(worker))
        val watchword = Watchword(configured(), ports)
        step("enrolment") { enrolment(watchword) }
        step("key") { "${parts.keys.securityLevel()}, asked for ${if (strongBox) "strongbox" else "tee"}" }
        step("signature") { signature() }
        step("sealing") { if (watched.canOpen) "opens session keys" else throw IOException("can't open session keys") }
        step("renewal") { renewal(watchword) }
        for (proof in ProofKind.values()) urls[proof]?.let { step("request ${proof.name.lowercase()}") { request(watchword, proof, it) } }
        step("play integrity") { play() }
        step("cleaning") { clean() }
        return SelfTestReport(phone(), steps.toList(), watched.evidence)
    }

    private fun step(name: String, action: () -> String) {
        val begun = SystemClock.elapsedRealtime()
        val (passed, detail) = try {
            true to action()
        } catch (error: WatchwordException) {
            false to "${error.code}: ${error.message}"
        } catch (error: Exception) {
            // A step that fails in any way is what the report is for; nothing here has a token in its message.
            false to "${error.javaClass.simpleName}: ${error.message}"
        }
        steps += SelfTestReport.Step(name, passed, detail, SystemClock.elapsedRealtime() - begun)
    }

    private fun phone(): Map<String, Any> = linkedMapOf(
        "manufacturer" to Build.MANUFACTURER,
        "model" to Build.MODEL,
        "android" to Build.VERSION.RELEASE,
        "api" to Build.VERSION.SDK_INT,
        "patch" to Build.VERSION.SECURITY_PATCH,
        "says_strongbox" to context.packageManager.hasSystemFeature(PackageManager.FEATURE_STRONGBOX_KEYSTORE),
    )

    private fun device(): Device = when (playIntegrity) {
        null -> KeystoreDevice(parts.keys, strongBox)
        else -> PlayIntegrityDevice(parts.keys, playIntegrity, strongBox, { Thread.sleep(it) }, { Math.random() })
    }

    private fun configured() = WatchwordConfig(
        config.service,
        config.app,
        config.apis.map { api -> Api(api.audience, api.origins.map { it.toString() }, { _, _ -> wanted }, api.dpop) },
        config.issuer,
        config.waitMillis,
        config.pins,
    )

    private fun clock(): String {
        val asleep = SystemClock.elapsedRealtime() - SystemClock.uptimeMillis()
        check(asleep >= 0) { "the clock that counts sleep is behind the one that doesn't" }
        return "start ${parts.clock.bootId}, ${asleep / MILLIS} s of sleep counted"
    }

    private fun storage(): String {
        val store = parts.store("probe")
        val written = "probe".toByteArray()
        store.write(written)
        check(store.read().contentEquals(written)) { "got something else than what was written" }
        store.clear()
        check(store.read() == null) { "got what was removed" }
        return "written, read and removed"
    }

    private fun enrolment(watchword: Watchword): String {
        watchword.enrol()
        val stored = StrictJson.read(parts.session.read() ?: ByteArray(0), MAX_SESSION_BYTES)
        return "level ${watchword.level}, instance ${stored.members("session").text("instance")}"
    }

    private fun renewal(watchword: Watchword): String {
        watchword.renew()
        return "level ${watchword.level}"
    }

    private fun signature(): String {
        val begun = SystemClock.elapsedRealtime()
        repeat(SIGNATURES) { watched.sign(ByteArray(SIGNED_BYTES)) }
        return "${(SystemClock.elapsedRealtime() - begun) / SIGNATURES} ms each"
    }

    private fun request(watchword: Watchword, proof: ProofKind, url: String): String {
        wanted = proof
        if (watchword.attempts(AppRequest("GET", url)) == null) throw IOException("the address is of none of the configured APIs")
        val (status, sent) = watchword.send(URL(url)).use { it.status to it.proof }
        if (status !in OK) throw IOException("the API answered $status")
        if (sent != proof) throw IOException("the API answered $status to a ${name(sent)} proof, expected a ${name(proof)} proof")
        return "the API answered $status"
    }

    private fun name(proof: ProofKind?): String = proof?.name?.lowercase() ?: "missing"

    private fun play(): String {
        val adapter = playIntegrity ?: return "no adapter"
        return "a token of ${adapter.token(Base64Url.encode(sha256(ByteArray(0)))).length} characters"
    }

    private fun clean(): String {
        parts.remove()
        return "keys and files removed"
    }

    private companion object {
        private const val MILLIS = 1000
        private const val SIGNATURES = 5
        private const val SIGNED_BYTES = 300
        private const val MAX_SESSION_BYTES = 1024 * 1024
        val OK = 200..299
    }
}

/** Remembers what a device answered when it was attested. */
private class WatchedDevice(private val device: Device) : Device by device {
    @Volatile var evidence: SelfTestReport.Evidence? = null
        private set

    override fun attest(binding: ByteArray): Map<String, Any> = device.attest(binding).also {
        evidence = SelfTestReport.Evidence(binding, it)
    }
}

/**
 * What [SelfTest] found. It names the phone's model and system, its instance and the public key that was attested, and no
 * token, private key or identifier of the device.
 *
 * @property phone what the system says of itself.
 * @property steps in the order in which they were run.
 */
public class SelfTestReport internal constructor(
    public val phone: Map<String, Any>,
    public val steps: List<Step>,
    private val evidence: Evidence?,
) {
    /**
     * One step.
     *
     * @property millis how long it took.
     */
    public class Step internal constructor(
        public val name: String,
        public val passed: Boolean,
        public val detail: String,
        public val millis: Long,
    )

    /** Evidence and the [binding] that it carries. */
    internal class Evidence(val binding: ByteArray, val sent: Map<String, Any>)

    /** Whether every step passed. */
    public val passed: Boolean get() = steps.all { it.passed }

    /**
     * Returns the report as JSON: `v`, `passed`, `phone`, `steps`, and where the phone attested `evidence` with `format`,
     * `challenge` (hex, for `watchword verify evidence --challenge`), `statement` (the hash by which the service's record of
     * this enrolment is found for `watchword verify replay`) and `chain` (see [chain]).
     */
    public fun json(): String = String(
        StrictJson.write(
            linkedMapOf(
                "v" to 1,
                "passed" to passed,
                "phone" to phone,
                "steps" to steps.map {
                    linkedMapOf("name" to it.name, "passed" to it.passed, "detail" to it.detail, "millis" to it.millis)
                },
                "evidence" to evidence?.let {
                    linkedMapOf(
                        "format" to it.sent["format"],
                        "challenge" to hex(it.binding),
                        "statement" to hex(it.binding),
                        "chain" to chain(),
                    )
                },
            ),
        ),
        Charsets.UTF_8,
    )

    /**
     * Returns the key's certificates as PEM, leaf first, as `watchword verify evidence --format android-key --file` reads
     * them; null where none were sent.
     */
    public fun chain(): String? = (evidence?.sent?.get("chain") as? List<*>)?.joinToString("") {
        val body = base64(Base64Url.decode(it as String)).chunked(PEM_LINE).joinToString("\n")
        "-----BEGIN CERTIFICATE-----\n$body\n-----END CERTIFICATE-----\n"
    }

    private fun hex(data: ByteArray): String = data.joinToString("") { (it.toInt() and BYTE).toString(HEX).padStart(2, '0') }

    private companion object {
        private const val PEM_LINE = 64
        private const val BYTE = 0xff
        private const val HEX = 16
    }
}
