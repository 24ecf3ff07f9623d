package dev.watchword.reactnative

import android.content.Context
import dev.watchword.LabPhone
import dev.watchword.TestInstance
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig

/** What a debug build may have in place of the phone's own attestation. */
internal object TestBuild {
    /** Returns the instance that JavaScript asked for; null where it is the phone's own. */
    fun watchword(context: Context, config: WatchwordConfig, said: Map<String, Any?>): Watchword? {
        (said["testInstance"] as String?)?.let { return TestInstance.create(context, config, it) }
        val lab = said["lab"]?.let(::entries) ?: return null
        return LabPhone.create(context, config, text(lab, "attester"), text(lab, "kind"), text(lab, "device"))
    }
}
