package dev.watchword

import dev.watchword.phone.FakePhone
import dev.watchword.phone.LabVendor
import okhttp3.OkHttpClient
import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.net.HttpURLConnection
import java.net.URL

/**
 * A whole deployment, which whoever runs these tests started (`tests/system/sdk/deployment.py`).
 *
 * @param said its addresses, as it printed them.
 */
class Deployment(private val said: JSONObject) {
    val gates = listOf("proxy", "nginx", "envoy", "affine")
    val service: String = said.getString("service")
    val attester: String = said.getString("attester")
    val secret: JSONObject = said.getJSONObject("secret")

    fun url(api: String): String = said.getJSONObject("apis").getJSONObject(api).getString("url")

    fun audience(api: String): String = said.getJSONObject("apis").getJSONObject(api).getString("audience")

    fun relay(name: String): String = said.getJSONObject("relays").getString(name)

    fun host(name: String): String = said.getJSONObject("hosts").getString(name)

    fun path(proof: String): String = said.getJSONObject("paths").getString(proof)

    /** What an app says of this deployment; every API is reached straight and through its relay. */
    fun config(service: String = this.service, proof: ProofChoice = Proofs(device = listOf("${path("device")}/**"))): WatchwordConfig =
        WatchwordConfig(
            service,
            said.getJSONObject("apps").getJSONObject("android").getString("name"),
            gates.map { Api(audience(it), listOf(url(it), relay(it)), proof) },
            issuer = this.service,
        )

    fun phone(root: File, kind: String = "genuine-android", device: String = "ada"): FakePhone =
        FakePhone(root, LabVendor(attester, kind, device))

    fun control(action: String, vararg members: Pair<String, Any>): String {
        val body = JSONObject().apply { members.forEach { (name, value) -> put(name, value) } }
        val (status, answer) = post("${said.getString("control")}/$action", body)
        check(status == HttpURLConnection.HTTP_OK) { "$action: $status $answer" }
        return answer
    }

    /** What reached APIs and hosts since the last `forget`. */
    fun seen(): List<JSONObject> = JSONArray(control("seen")).let { rows -> (0 until rows.length()).map(rows::getJSONObject) }

    /** Lets the attester fail for a phone: `fault` at its next call. */
    fun fault(device: String, fault: String) {
        val faults = JSONArray().put(JSONObject().put("on", "android.chain").put("fault", fault))
        val (status, answer) = post("$attester/v1/devices/$device/faults", JSONObject().put("faults", faults), "PUT")
        check(status == HttpURLConnection.HTTP_OK) { "$status $answer" }
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

    companion object {
        /** Returns the deployment that the environment names. */
        fun present(): Deployment = Deployment(JSONObject(checkNotNull(System.getenv("WATCHWORD_DEPLOYMENT")) { "no deployment runs" }))

        /** Returns what an app sends its requests by. */
        fun client(watchword: Watchword): OkHttpClient = OkHttpClient.Builder().watchword(watchword).build()
    }
}
