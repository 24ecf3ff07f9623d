package dev.watchword.internal

import android.content.Context
import android.os.UserManager
import dev.watchword.DeviceException
import dev.watchword.Store
import java.io.File
import java.io.FileNotFoundException
import java.io.FileOutputStream
import java.io.IOException

/**
 * One file that only this app can read, replaced in one step.
 *
 * @param file in the app's no-backup directory, which neither a backup nor a transfer to another phone takes along.
 * @param limit most bytes that are read.
 */
internal class FileStore(private val file: File, private val limit: Int = MAX_BYTES) : Store {
    private val next = File(file.path + ".next")

    @Synchronized
    override fun read(): ByteArray? = try {
        if (file.length() > limit) null else file.readBytes()
    } catch (error: FileNotFoundException) {
        if (file.exists()) throw error
        null
    }

    @Synchronized
    override fun write(data: ByteArray) {
        FileOutputStream(next).use {
            it.write(data)
            it.fd.sync()
        }
        if (!next.renameTo(file)) throw IOException("couldn't replace ${file.name}")
    }

    @Synchronized
    override fun clear() {
        next.delete()
        if (!file.delete() && file.exists()) throw IOException("couldn't remove ${file.name}")
    }

    companion object {
        /** Far more than a session has, far less than memory. */
        const val MAX_BYTES = 1024 * 1024
    }
}

/**
 * Hands out a session only where the keys that belong to it are there.
 *
 * A backup tool or a cloned phone may bring files without keys: their session would go on, with another phone's tokens.
 *
 * @param keysExist asks the keystore; what it throws proves nothing.
 */
internal class KeyedStore(private val store: Store, private val keysExist: () -> Boolean) : Store by store {
    override fun read(): ByteArray? {
        val exist = try {
            keysExist()
        } catch (error: DeviceException) {
            // Before the first unlock the file seems not to be there, as the keys do.
            if (error.kind == DeviceException.Kind.LOCKED) throw error
            true
        }
        val data = store.read() ?: return null
        if (exist) return data
        store.clear()
        return null
    }
}

/** Says that the phone can't tell, where nobody unlocked it since its start: a file seems not to be there then. */
internal class UnlockedStore(private val context: Context, private val store: Store) : Store by store {
    override fun read(): ByteArray? {
        if (context.getSystemService(UserManager::class.java)?.isUserUnlocked == false) {
            throw DeviceException(DeviceException.Kind.LOCKED, "what is stored can't be read before the phone is unlocked")
        }
        return store.read()
    }
}
