package dev.watchword.reactnative

import android.content.Context
import com.facebook.react.modules.network.OkHttpClientFactory
import com.facebook.react.modules.network.OkHttpClientProvider
import dev.watchword.Api
import dev.watchword.PlayIntegrity
import dev.watchword.ProofKind
import dev.watchword.Proofs
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.create
import dev.watchword.watchword
import okhttp3.OkHttpClient
import java.util.Locale
import java.util.concurrent.CopyOnWriteArraySet

/**
 * The one instance of this process, whichever JavaScript runs in it: a reload finds what is there.
 *
 * React Native makes its HTTP client before JavaScript says where service and APIs are. So the client asks here, for each request.
 */
public object WatchwordReactNative {
    /** Attests by Google Play's verdict, where the service is set up for it; set it in `Application.onCreate`. */
    @JvmStatic
    @Volatile
    public var playIntegrity: PlayIntegrity? = null

    /** The instance, for native code of the app; null before JavaScript has configured it. */
    @JvmStatic
    @Volatile
    public var watchword: Watchword? = null
        private set

    /** Where React Native's HTTP cache and bodies that are too large for memory lie; null before the first module is made. */
    @Volatile
    internal var context: Context? = null

    internal val listeners: MutableSet<(Failure) -> Unit> = CopyOnWriteArraySet()

    private var told: Map<String, Any?>? = null

    /**
     * Attaches Watchword to a client, which is returned: for an app that has an `OkHttpClientFactory` of its own. Call it last.
     *
     * ```kotlin
     * OkHttpClientProvider.setOkHttpClientFactory {
     *     WatchwordReactNative.attach(OkHttpClientProvider.createClientBuilder(this)).build()
     * }
     * ```
     */
    @JvmStatic
    public fun attach(client: OkHttpClient.Builder): OkHttpClient.Builder =
        client.addInterceptor(RequestInterceptor({ watchword }, { context?.cacheDir }, ::tell)).watchword { watchword }

    /** Makes React Native's client carry tokens and proofs, with its own cookies, timeouts and cache. */
    internal fun install() {
        OkHttpClientProvider.setOkHttpClientFactory(
            OkHttpClientFactory {
                val held = context
                attach(
                    if (held == null) OkHttpClientProvider.createClientBuilder() else OkHttpClientProvider.createClientBuilder(held),
                ).build()
            },
        )
    }

    /**
     * Makes the instance.
     *
     * @param said what JavaScript said.
     * @throws IllegalArgumentException on what can't be right.
     * @throws IllegalStateException where another one was made before, or where this build doesn't have what it takes.
     */
    @Synchronized
    internal fun configure(context: Context, said: Map<String, Any?>) {
        if (told == said) return
        check(told == null) { "got another configuration than before, expected one for each start of the app: start it again" }
        use(made(context, said))
        told = said
    }

    /** Takes an instance in place of one that is configured; null for none. */
    internal fun use(made: Watchword?) {
        watchword = made
        told = null
    }

    private fun made(context: Context, said: Map<String, Any?>): Watchword {
        val config = WatchwordConfig(
            service = text(said, "service"),
            app = text(said, "app"),
            apis = (said["apis"] as List<*>).map { api(entries(it)) },
            issuer = said["issuer"] as String?,
            waitMillis = ((said["waitSeconds"] as Double) * MILLIS).toLong(),
            pins = (said["pins"] as String?)?.toByteArray(Charsets.UTF_8),
        )
        return TestBuild.watchword(context, config, said)
            ?: Watchword.create(context, config, strongBox = said["strongBox"] == true, playIntegrity = playIntegrity)
    }

    private fun api(said: Map<String, Any?>): Api = Api(
        text(said, "audience"),
        texts(said, "origins"),
        Proofs(
            texts(said, "device"),
            texts(said, "session"),
            texts(said, "bearer"),
            ProofKind.valueOf(text(said, "otherwise").uppercase(Locale.ROOT)),
        ),
        said["dpop"] == true,
        said["sendUnproved"] == true,
    )

    private fun tell(failure: Failure): Unit = listeners.forEach { it(failure) }

    private const val MILLIS = 1000
}

/** Returns a member that has to be a text; codegen has looked at its type. */
internal fun text(said: Map<String, Any?>, name: String): String = said[name] as String

internal fun texts(said: Map<String, Any?>, name: String): List<String> = (said[name] as List<*>).map { it as String }

internal fun entries(value: Any?): Map<String, Any?> = (value as Map<*, *>).entries.associate { (name, held) -> name as String to held }
