package dev.watchword.phone

import android.content.ContentResolver
import android.content.Context
import android.content.pm.ApplicationInfo
import android.content.pm.PackageManager
import android.os.Build
import android.os.Looper
import android.os.SystemClock
import android.os.UserManager
import android.provider.Settings
import java.io.File
import java.security.Security

/**
 * A phone for tests on the JVM: its Keystore, its clock, its files and what its system says of itself.
 *
 * One at a time for each process, as the system's own statics are.
 *
 * @param root where its files lie; they outlive the phone's processes, as keys do.
 * @param vendor who made it, and vouches for its keys.
 */
class FakePhone(private val root: File, vendor: Vendor = UnattestedVendor) : AutoCloseable {
    val keystore = FakeKeystore(vendor)
    val context = FakeContext(this)

    /** Whether the app was built for debugging. */
    var isDebuggable = true

    /** Whether the phone says that it has StrongBox. */
    var hasStrongBox = true

    /** What backups leave out. */
    val noBackup: File get() = File(root, "no_backup").also { if (UserManager.unlocked) it.mkdirs() }

    /** What the system may clear. */
    val cache: File get() = File(root, "cache").also { it.mkdirs() }

    /** What [noBackup] is as long as nobody unlocked the phone. */
    private val encrypted = File(root, "encrypted")

    init {
        Build.VERSION.SDK_INT = 37
        SystemClock.elapsed = 100_000
        SystemClock.asleep = 0
        Settings.Global.bootCount = 7
        UserManager.unlocked = true
        Looper.mainThread = null
        Security.removeProvider(FakeKeystore.NAME)
        // Last, as a key of software is another provider's business.
        Security.addProvider(keystore)
    }

    /** Starts it again; nobody unlocked it yet where [unlocked] is false. */
    fun reboot(unlocked: Boolean = true) {
        Settings.Global.bootCount += 1
        SystemClock.elapsed = 5_000
        UserManager.unlocked = unlocked
        val (from, to) = if (unlocked) encrypted to noBackup else noBackup to encrypted
        if (from.exists()) {
            to.deleteRecursively()
            check(from.renameTo(to)) { "couldn't move the phone's files" }
        }
    }

    /** Does what "clear storage" does: files and keys are gone. */
    fun wipe() {
        root.deleteRecursively()
        keystore.held.clear()
    }

    /** Does what a backup tool does that takes all files along: the keys stay on the other phone. */
    fun restoreFiles() {
        keystore.held.clear()
    }

    override fun close() {
        Looper.mainThread = null
        Security.removeProvider(FakeKeystore.NAME)
    }
}

/** The app's view of a [FakePhone]. */
class FakeContext(private val phone: FakePhone) : Context() {
    override fun getApplicationContext(): Context = this

    override fun getApplicationInfo(): ApplicationInfo = ApplicationInfo().apply {
        flags = if (phone.isDebuggable) ApplicationInfo.FLAG_DEBUGGABLE else 0
    }

    override fun getContentResolver(): ContentResolver = object : ContentResolver() {}

    override fun getCacheDir(): File = phone.cache

    override fun getNoBackupFilesDir(): File = phone.noBackup

    override fun getPackageManager(): PackageManager = object : PackageManager() {
        override fun hasSystemFeature(featureName: String): Boolean = featureName == FEATURE_STRONGBOX_KEYSTORE && phone.hasStrongBox
    }

    override fun getPackageName(): String = "com.example.clinic"

    override fun systemService(serviceClass: Class<*>): Any? = if (serviceClass == UserManager::class.java) UserManager() else null
}
