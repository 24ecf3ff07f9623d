@file:JvmName("WatchwordAndroid")

package dev.watchword

import android.content.Context
import android.os.Looper
import dev.watchword.internal.AndroidChains
import dev.watchword.internal.AndroidClock
import dev.watchword.internal.Base64Url
import dev.watchword.internal.FileStore
import dev.watchword.internal.InstanceKeys
import dev.watchword.internal.KeyedStore
import dev.watchword.internal.Keystore
import dev.watchword.internal.KeystoreDevice
import dev.watchword.internal.PlayIntegrityDevice
import dev.watchword.internal.SealKey
import dev.watchword.internal.UnlockedStore
import dev.watchword.internal.platformTrust
import dev.watchword.internal.sha256
import java.io.File
import java.util.concurrent.Executor

private const val NAME_CHARACTERS = 16

/**
 * Makes the one instance of this app at its service; call it in `Application.onCreate`. It returns at once: nothing is
 * read, made or sent before it is needed, or before [Watchword.prefetch].
 *
 * ```kotlin
 * val watchword = Watchword.create(this, WatchwordConfig("https://attest.example", "clinic-android", "https://api.example"))
 * watchword.prefetch()
 * ```
 *
 * Keys live in the Android Keystore, readable from the first unlock on. Session and sealing key lie in the app's
 * no-backup directory: neither backup nor transfer takes them along. Pins that were fetched lie there too.
 *
 * @param strongBox whether keys are made in StrongBox, where the phone has one that works. A signature there takes longer.
 * @param playIntegrity attests by Google Play's verdict instead of by the key, where the service is set up for it.
 * @param transport the way to the service.
 * @param hearPins see [Ports.hearPins].
 */
@JvmOverloads
public fun Watchword.Companion.create(
    context: Context,
    config: WatchwordConfig,
    strongBox: Boolean = false,
    playIntegrity: PlayIntegrity? = null,
    transport: Transport = HttpTransport(),
    hearPins: (Long) -> Unit = {},
): Watchword {
    val parts = AndroidParts(context.applicationContext, config)
    val device = when (playIntegrity) {
        null -> KeystoreDevice(parts.keys, strongBox)
        else -> PlayIntegrityDevice(parts.keys, playIntegrity, strongBox, { Thread.sleep(it) }, { Math.random() })
    }
    return Watchword(
        config,
        Ports(
            device = device,
            store = KeyedStore(parts.session, { parts.keys.exist() }),
            clock = parts.clock,
            transport = transport,
            mayBlock = { mayBlock() },
            hearPins = hearPins,
            pins = parts.pins(),
        ),
    )
}

/**
 * What belongs to one app at one service on this phone; another service or app has files and keys of its own.
 *
 * @param kind tells instances of the same app and service apart.
 */
internal class AndroidParts(private val context: Context, val config: WatchwordConfig, kind: String = "phone") {
    private val name = "watchword-$kind-" +
        Base64Url.encode(sha256("${config.service}\n${config.app}".toByteArray())).take(NAME_CHARACTERS)

    val clock: Clock = AndroidClock(context.contentResolver)
    val session: Store = store("session")

    private val fetched: Store = UnlockedStore(context, store("pins", PinPorts.STORE_BYTES))

    /**
     * Returns what the app's pins need, null where it has none.
     *
     * @param worker see [PinPorts.worker].
     */
    fun pins(worker: Executor? = null): PinPorts? = config.pins?.let {
        val trust = platformTrust()
        PinPorts(fetched, trust = trust, chains = AndroidChains(trust), worker = worker)
    }
    val keys: InstanceKeys by lazy {
        val keystore = Keystore(context) { Thread.sleep(it) }
        InstanceKeys(keystore, SealKey(keystore, "$name-seal", store("seal")), name)
    }

    /** Removes keys and files. */
    fun remove() {
        keys.remove()
        session.clear()
        fetched.clear()
    }

    /** Returns the file of this purpose; nothing is touched before it is used, as its directory isn't there before the first unlock. */
    fun store(purpose: String, limit: Int = FileStore.MAX_BYTES): Store =
        LazyStore { FileStore(File(context.noBackupFilesDir, "$name.$purpose"), limit) }
}

private class LazyStore(make: () -> Store) : Store {
    private val store by lazy(make)

    override fun read(): ByteArray? = store.read()

    override fun write(data: ByteArray): Unit = store.write(data)

    override fun clear(): Unit = store.clear()
}

/** Whether this thread may wait: not the app's main thread. */
@JvmSynthetic
internal fun mayBlock(): Boolean = Looper.myLooper() !== Looper.getMainLooper()
