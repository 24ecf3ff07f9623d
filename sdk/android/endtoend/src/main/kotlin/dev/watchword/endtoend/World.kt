package dev.watchword.endtoend

import android.os.Build
import dev.watchword.Api
import dev.watchword.PlayIntegrity
import dev.watchword.PlayIntegrityException
import dev.watchword.Proofs
import dev.watchword.TestInstance
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.create
import dev.watchword.phone.FakePhone
import dev.watchword.phone.LabVendor
import dev.watchword.phone.PlayFailure
import dev.watchword.watchword
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okio.BufferedSink
import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.net.HttpURLConnection
import java.net.URL

/**
 * The deployment that a test runs against, and what it may change of it.
 *
 * @param told the addresses, as `tests/system/sdk/deployment.py` prints them.
 */
class World(private val told: JSONObject) {
    val service: String = told.getString("service")
    val attester: String = told.getString("attester")
    val apis: List<String> = told.getJSONObject("apis").keys().asSequence().toList()
    val secret: JSONObject = told.getJSONObject("secret")

    fun url(api: String): String = told.getJSONObject("apis").getJSONObject(api).getString("url")

    fun relay(name: String): String = told.getJSONObject("relays").getString(name)

    fun host(name: String): String = told.getJSONObject("hosts").getString(name)

    /** Returns an address of the host under pins: `url`, or `between`, where somebody stands in its place. */
    fun pinned(name: String): String = told.getJSONObject("pinned").getString(name)

    /** Returns the file of pins that a new version of the app is built with. */
    fun release(): ByteArray = (control("release", "app" to config().app) as JSONObject).getString("file").toByteArray()

    /** @param pins what the app was built with; null for an app without pins. */
    fun config(service: String = this.service, pins: ByteArray? = null): WatchwordConfig = WatchwordConfig(
        service = service,
        app = told.getJSONObject("apps").getJSONObject("android").getString("name"),
        apis = apis.map {
            Api(
                audience = told.getJSONObject("apis").getJSONObject(it).getString("audience"),
                origins = listOf(url(it), relay(it)) + if (it == "proxy") listOf(pinned("url"), pinned("between")) else emptyList(),
                proof = Proofs(device = listOf("/payments/**"), bearer = listOf("/patients/**")),
            )
        },
        issuer = this.service,
        pins = pins,
    )

    /** Has the deployment changed, or asks what reached it; null where there is nothing to tell. */
    fun control(action: String, vararg members: Pair<String, Any>): Any? {
        val (status, text) = post("${told.getString("control")}/$action", JSONObject(members.toMap()))
        check(status == HttpURLConnection.HTTP_OK) { "$action: $status $text" }
        return if (text == "null") {
            null
        } else if (text.startsWith("[")) {
            JSONArray(text)
        } else {
            JSONObject(text)
        }
    }

    /** Returns what reached the API and the hosts around, as "GET /records/1", of one of them. */
    fun seen(host: String = "api"): List<JSONObject> =
        (control("seen") as JSONArray).let { rows -> (0 until rows.length()).map(rows::getJSONObject) }
            .filter { it.getString("host") == host }

    fun script(device: String, vararg faults: Pair<String, Any>) {
        val lines = if (faults.isEmpty()) JSONArray() else JSONArray().put(JSONObject(faults.toMap()))
        val (status, text) = post("$attester/v1/devices/$device/faults", JSONObject().put("faults", lines), "PUT")
        check(status == HttpURLConnection.HTTP_OK) { text }
    }

    private fun post(url: String, body: JSONObject, method: String = "POST"): Pair<Int, String> {
        val connection = URL(url).openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.doOutput = true
        connection.setRequestProperty("Content-Type", "application/json")
        connection.outputStream.use { it.write(body.toString().toByteArray()) }
        val status = connection.responseCode
        val stream = if (status >= HttpURLConnection.HTTP_BAD_REQUEST) connection.errorStream else connection.inputStream
        return status to stream.use { it.readBytes() }.toString(Charsets.UTF_8)
    }
}

/** One phone with the app on it; its processes end and begin, its files and keys stay. */
class Handset(private val world: World, root: File, kind: String, val name: String, system: Int = SYSTEM) : AutoCloseable {
    private val vendor = LabVendor(world.attester, kind, name)
    val phone = FakePhone(root, vendor)

    init {
        Build.VERSION.SDK_INT = system
    }

    /** Starts the app's process. */
    fun start(service: String = world.service, strongBox: Boolean = false, pins: ByteArray? = null): Watchword =
        Watchword.create(phone.context, world.config(service, pins), strongBox)

    /** Starts it in an app that has Google's library. */
    fun startWithPlay(): Watchword {
        val google = PlayIntegrity {
            try {
                vendor.playToken(it)
            } catch (error: PlayFailure) {
                throw PlayIntegrityException(error.code, error)
            }
        }
        return Watchword.create(phone.context, world.config(), playIntegrity = google)
    }

    /** Starts a debug build that enrols by an operator's code. */
    fun startWithCode(code: String): Watchword = TestInstance.create(phone.context, world.config(), code)

    override fun close(): Unit = phone.close()

    private companion object {
        const val SYSTEM = 36
    }
}

/** The app's HTTP client. */
class Http(watchword: Watchword) {
    private val client = OkHttpClient.Builder().watchword(watchword).build()

    /** What the last answer came over, for example `h2`. */
    var protocol = ""
        private set

    fun get(url: String): Int = send(Request.Builder().url(url).build())

    fun post(url: String): Int = send(Request.Builder().url(url).method("POST", Text).build())

    private fun send(request: Request): Int = client.newCall(request).execute().use {
        Calls.text(it)
        protocol = Calls.protocol(it)
        Calls.code(it)
    }

    private object Text : RequestBody() {
        private val bytes = """{"sum": 40}""".toByteArray()

        override fun contentType(): MediaType? = null

        override fun contentLength(): Long = bytes.size.toLong()

        override fun writeTo(sink: BufferedSink) {
            sink.write(bytes)
        }
    }
}
