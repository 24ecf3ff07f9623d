package dev.watchword

import android.os.SystemClock
import android.os.UserManager
import android.provider.Settings
import dev.watchword.internal.AndroidClock
import dev.watchword.internal.FileStore
import dev.watchword.internal.UnlockedStore
import dev.watchword.phone.FakePhone
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.io.IOException

/** Where the phone keeps what it knows, and what time it is there. */
class StorageTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var phone: FakePhone

    @Before
    fun start() {
        phone = FakePhone(folder.root)
    }

    @After
    fun close() {
        phone.close()
    }

    private fun file() = File(phone.noBackup, "session")

    @Test
    fun `nothing is concluded of pins before the first unlock`() {
        val store = UnlockedStore(phone.context, FileStore(file()))
        store.write("kept".toByteArray())
        UserManager.unlocked = false
        try {
            assertEquals(DeviceException.Kind.LOCKED, assertThrows(DeviceException::class.java) { store.read() }.kind)
        } finally {
            UserManager.unlocked = true
        }
        assertArrayEquals("kept".toByteArray(), store.read())
    }

    @Test
    fun `a file is replaced whole`() {
        val store = FileStore(file())
        assertNull(store.read())
        store.write("one".toByteArray())
        store.write("two".toByteArray())
        assertArrayEquals("two".toByteArray(), FileStore(file()).read())
        assertEquals(listOf("session"), phone.noBackup.list()?.toList())
        store.clear()
        store.clear()
        assertNull(store.read())
    }

    @Test
    fun `a process that died while it wrote left the old one`() {
        FileStore(file()).write("old".toByteArray())
        File(file().path + ".next").writeText("ne")
        assertArrayEquals("old".toByteArray(), FileStore(file()).read())
        FileStore(file()).write("new".toByteArray())
        assertArrayEquals("new".toByteArray(), FileStore(file()).read())
        File(file().path + ".next").writeText("ne")
        FileStore(file()).clear()
        assertEquals(emptyList<String>(), phone.noBackup.list()?.toList())
    }

    @Test
    fun `what can't be a session isn't read into memory`() {
        file().writeBytes(ByteArray(1024 * 1024 + 1))
        assertNull(FileStore(file()).read())
    }

    @Test
    fun `a directory that is gone or in the way is an IOException`() {
        assertThrows(IOException::class.java) { FileStore(File(phone.noBackup, "gone/session")).write(ByteArray(1)) }
        file().mkdirs()
        File(file(), "x").writeText("x")
        assertThrows(IOException::class.java) { FileStore(file()).write(ByteArray(1)) }
        assertThrows(IOException::class.java) { FileStore(file()).clear() }
    }

    @Test
    fun `each start of the phone has a name, also across processes`() {
        val clock = AndroidClock(phone.context.contentResolver)
        assertEquals(100.0, clock.boot(), 0.0)
        SystemClock.asleep = 40_000
        assertEquals("with the time that it slept", 100.0, clock.boot(), 0.0)
        assertEquals(clock.bootId, AndroidClock(phone.context.contentResolver).bootId)
        phone.reboot()
        assertNotEquals(clock.bootId, AndroidClock(phone.context.contentResolver).bootId)
        assertEquals(5.0, clock.boot(), 0.0)
        assertEquals(System.currentTimeMillis() / 1000.0, clock.wall(), 60.0)
    }

    @Test
    fun `a phone that doesn't count its starts has one for each process`() {
        Settings.Global.bootCount = -1
        val clock = AndroidClock(phone.context.contentResolver)
        assertEquals(clock.bootId, clock.bootId)
        assertNotEquals(clock.bootId, AndroidClock(phone.context.contentResolver).bootId)
        assertFalse(clock.bootId.startsWith("boot-"))
    }
}
