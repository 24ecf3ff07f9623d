package dev.watchword

import dev.watchword.internal.AnchoredChains
import dev.watchword.internal.Builtin
import dev.watchword.internal.CertificatePins
import dev.watchword.internal.HttpPinSource
import dev.watchword.internal.Installed
import dev.watchword.internal.KeptPins
import dev.watchword.internal.PinDocuments
import dev.watchword.internal.PinRefusal
import dev.watchword.internal.PinReports
import dev.watchword.internal.PinUpdater
import dev.watchword.internal.PinnedTrust
import dev.watchword.internal.platformTrust
import java.io.IOException
import java.net.HttpURLConnection
import java.security.cert.CertificateEncodingException
import java.security.cert.X509Certificate
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicBoolean
import javax.net.ssl.HttpsURLConnection
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLSocketFactory
import javax.net.ssl.X509TrustManager

/** Says which chain the platform verified. */
public fun interface CertificateChains {
    /**
     * Returns the verified chain, leaf first, up to the anchor; empty if these certificates lead to none.
     *
     * It is never what was presented: whoever intercepts can present a genuine authority's certificate beside their own.
     *
     * @param presented as the peer sent them, its own first.
     * @param host the name that TLS checked.
     */
    public fun verified(presented: List<X509Certificate>, host: String): List<X509Certificate>
}

/**
 * What pins need of a platform. `Watchword.create` of the Android artifact makes one.
 *
 * @property store where fetched pins are kept; null for nowhere: after each start the app has what it was built with.
 * @property transport the way to the service's pins and to where failures are reported: not pinned, since what comes is
 *   signed, and reports tell of pins that fail. Takes answers of [ANSWER_BYTES].
 * @property trust decides whom the platform trusts.
 * @property chains says which chain that comes to.
 * @property worker runs fetches and reports, one after the other; null for a thread of the SDK's own.
 */
public class PinPorts
@JvmOverloads
constructor(
    public val store: Store? = null,
    public val transport: Transport = HttpTransport(ANSWER_BYTES),
    public val trust: X509TrustManager = platformTrust(),
    public val chains: CertificateChains = AnchoredChains(trust),
    public val worker: Executor? = null,
) {
    public companion object {
        /** Most bytes of an answer. */
        public const val ANSWER_BYTES: Int = PinDocuments.MAX_SET_BYTES

        /** Most bytes that [store] has to keep. */
        public const val STORE_BYTES: Int = KeptPins.MAX_BYTES
    }
}

/**
 * Which keys of servers this app accepts: by the file that was built into it ([WatchwordConfig.pins]) and by newer pins from
 * the service, each signed by keys that the service doesn't have.
 *
 * `HttpTransport`, the OkHttp adapter and `Watchword.send` ask by themselves, before the first byte of a request is written.
 * Safe to use from any number of threads.
 */
public class Pins internal constructor(service: String, private val builtin: Builtin, private val ports: Ports) {
    private val platform = ports.pins ?: PinPorts()
    private val worker = platform.worker ?: ownWorker()
    private val reports = PinReports({ url, report -> post(url, report) }) { worker.execute(it) }
    private val isRefreshing = AtomicBoolean()
    private val loading = lazy {
        val source = HttpPinSource(service, builtin.app, platform.transport)
        PinUpdater(builtin, source, platform.store, { ports.clock.wall() }, ports.jitter) { reports.tell(it) }
    }
    internal val updater: PinUpdater get() = loading.value.also { it.readAgain() }
    private val chains = object : LinkedHashMap<Pair<String, List<X509Certificate>>, List<String>>() {
        override fun removeEldestEntry(eldest: Map.Entry<Pair<String, List<X509Certificate>>, List<String>>): Boolean =
            size > MAX_REMEMBERED
    }
    private var factory: Pair<Long, SSLSocketFactory>? = null

    /** The version of the installed set; 0 where there is none. */
    public val version: Long get() = updater.keeper.installed.set?.version ?: 0

    /** Why pins that were kept aren't used (the app goes by those that it was built with), or why the last fetch failed; null if all is well. */
    public val fault: String? get() = updater.fault ?: updater.failure

    /** Tells whether anything is checked at this host. */
    public fun isPinned(host: String): Boolean = updater.keeper.isPinned(host)

    /**
     * Tells whether a secret mustn't go to this host now: its pins have expired or were withdrawn, and the platform's trust
     * or an authority's decides. Secrets of [Watchword.secret] aren't fetched then.
     */
    public fun withholdsSecrets(host: String): Boolean = updater.keeper.withholds(host)

    /**
     * Returns if a request may be sent over a TLS connection; to be asked before each, since pins change.
     *
     * @param host the name that TLS checked.
     * @param presented the certificates that the peer presented, its own first. Empty ones match nothing.
     * @throws WatchwordException.Pin if it mustn't.
     */
    @Throws(WatchwordException.Pin::class)
    public fun check(host: String, presented: List<X509Certificate>) {
        val keeper = updater.keeper
        if (!keeper.isPinned(host)) return
        val reason = keeper.judge(host, chain(host, presented)).reason ?: return
        throw WatchwordException.Pin(host, "the connection to $host isn't used, nothing was sent: $reason")
    }

    /**
     * Returns if a request may be sent without TLS.
     *
     * @throws WatchwordException.Pin if the host is pinned.
     */
    @Throws(WatchwordException.Pin::class)
    public fun checkCleartext(host: String) {
        if (updater.keeper.refusesCleartext(host)) {
            throw WatchwordException.Pin(
                host,
                "the connection to $host isn't used, nothing was sent: the host is pinned, and this isn't TLS",
            )
        }
    }

    /**
     * Sockets whose handshake fails where pins don't hold, by a [WatchwordException.Pin] among the causes.
     *
     * Another one after each change of the pins, so that no connection of the time before is used: ask before each connection.
     */
    public val socketFactory: SSLSocketFactory
        @Synchronized get() {
            val generation = updater.keeper.generation
            factory?.let { (of, made) -> if (of == generation) return made }
            val context = SSLContext.getInstance("TLS")
            context.init(null, arrayOf(PinnedTrust(platform.trust, this)), null)
            return context.socketFactory.also { factory = generation to it }
        }

    /** Fetches newer pins in the background where that is due, as each [Watchword.prefetch] and each request does. Returns at once. */
    public fun refresh() {
        if (loading.isInitialized() && !updater.isDue()) return
        if (!isRefreshing.compareAndSet(false, true)) return
        try {
            worker.execute {
                try {
                    if (updater.isDue()) updater.update()
                } finally {
                    isRefreshing.set(false)
                }
            }
        } catch (_: RejectedExecutionException) {
            isRefreshing.set(false) // The next request tries again.
        }
    }

    override fun toString(): String = "Pins(app=${builtin.app}, version=$version)"

    /** Lets a connection that isn't open yet be judged before anything is written to it. */
    internal fun guard(connection: HttpURLConnection): HttpURLConnection {
        if (connection is HttpsURLConnection) connection.sslSocketFactory = socketFactory else checkCleartext(connection.url.host)
        return connection
    }

    /** Returns ports whose way to the service is judged, and which hear of newer pins. */
    internal fun guarded(): Ports = ports.with(
        transport = (ports.transport as? HttpTransport)?.guardedBy(this) ?: ports.transport,
        hearPins = { version ->
            ports.hearPins(version)
            updater.hear(version)
            refresh()
        },
    )

    /** Throws where a secret mustn't be fetched from this host. */
    internal fun checkSecret(host: String) {
        if (withholdsSecrets(
                host,
            )
        ) {
            throw WatchwordException.Pin(host, "no secret is fetched from $host: its pins have expired or were withdrawn")
        }
    }

    private fun chain(host: String, presented: List<X509Certificate>): List<String> {
        if (presented.isEmpty()) return emptyList()
        synchronized(chains) { chains[host to presented] }?.let { return it }
        val found = try {
            platform.chains.verified(presented, host).take(Installed.MAX_CHAIN).map { CertificatePins.of(it.encoded) }
        } catch (_: PinRefusal) {
            return emptyList()
        } catch (_: CertificateEncodingException) {
            return emptyList()
        }
        if (found.isNotEmpty()) synchronized(chains) { chains[host to presented] = found }
        return found
    }

    private fun post(url: String, report: ByteArray): Boolean = try {
        platform.transport.post(url, mapOf("Content-Type" to "application/json", "Accept-Encoding" to "identity"), report, REPORT_MILLIS)
            .status in SUCCESS
    } catch (_: IOException) {
        false
    } catch (_: SecurityException) {
        false // An app without the network's permission has other worries than a report.
    }

    internal companion object {
        private const val MAX_REMEMBERED = 64
        private const val REPORT_MILLIS = 10_000
        private val SUCCESS = 200..299
        private const val IDLE_SECONDS = 10L

        /** Returns the pins of an app that has a built-in file, null for any other. */
        fun of(config: WatchwordConfig, ports: Ports): Pins? {
            val file = config.pins ?: return null
            val builtin = try {
                PinDocuments.builtin(file)
            } catch (error: PinRefusal) {
                throw IllegalArgumentException(
                    "got a file of pins that can't be used, expected what `watchword pins release` wrote: ${error.message}",
                )
            }
            require(builtin.app == config.app) { "got the pins of ${builtin.app}, expected those of ${config.app}" }
            return Pins(config.service, builtin, ports)
        }

        /** One thread that ends when it has had nothing to do for a while. */
        private fun ownWorker(): Executor =
            ThreadPoolExecutor(1, 1, IDLE_SECONDS, TimeUnit.SECONDS, LinkedBlockingQueue()) {
                Thread(it, "watchword-pins").apply {
                    isDaemon =
                        true
                }
            }
                .apply { allowCoreThreadTimeOut(true) }
    }
}

/** Returns the refusal of a connection among the causes of what a library raised; null if there is none. */
@JvmSynthetic
internal fun Throwable.pinRefusal(): WatchwordException.Pin? {
    var error: Throwable? = this
    repeat(MAX_CAUSES) {
        (error as? WatchwordException.Pin)?.let { return it }
        error = error?.cause
    }
    return null
}

private const val MAX_CAUSES = 10
