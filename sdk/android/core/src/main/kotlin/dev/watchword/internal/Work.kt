package dev.watchword.internal

import dev.watchword.DeviceException.Kind
import dev.watchword.Ports
import dev.watchword.WatchwordException
import java.io.IOException
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException

/**
 * Runs what asks the service and the device, on a thread of its own, and lets callers wait for it for a while.
 *
 * Of each kind of work, named by a key, at most one is under way; who needs the same waits for that.
 */
internal class Work(private val ports: Ports, private val waitMillis: Long) {
    /**
     * Work that is under way.
     *
     * @property isEarly whether it was begun while there was no need yet: its failure says nothing to who needs it now.
     */
    class Flight(val isEarly: Boolean) {
        val future = CompletableFuture<Unit>()
    }

    private val flights = HashMap<String, Flight>()
    private val worker: Executor = ports.worker ?: ownWorker()

    /** Begins work that nobody waits for, unless some of this key is under way. */
    fun beginEarly(key: String, work: () -> Unit) {
        join(key, isEarly = true, work)
    }

    /** Begins work, unless some of this key is under way, and returns what is under way. */
    fun begin(key: String, work: () -> Unit): Flight = join(key, isEarly = false, work)

    /**
     * Waits until [result] gives one, for which [work] is done if need be.
     *
     * @param isCanceled is asked now and then whether the caller still wants it.
     * @throws WatchwordException of the work, or [WatchwordException.Offline] when the time is over; the work goes on.
     * @throws IOException that says `Canceled` where the caller doesn't want it any more; the work goes on.
     */
    fun <T : Any> await(key: String, work: () -> Unit, result: () -> T?, isCanceled: () -> Boolean = NEVER): T {
        // Always, not only where there is something to wait for: a defect that shows at once is found at once.
        requireWaiting()
        result()?.let { return it }
        val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(waitMillis)
        repeat(MAX_ROUNDS) {
            val flight = begin(key, work)
            wait(flight, end, isCanceled)
            result()?.let { return it }
        }
        throw WatchwordException.Offline("service-unavailable", "what was got was void at once, $MAX_ROUNDS times")
    }

    /** @throws IllegalStateException on a thread that mustn't wait. */
    fun requireWaiting(): Unit =
        check(ports.mayBlock()) { "this call may wait, which the present thread mustn't: use another thread, or prefetch()" }

    /** Does [work] after what is under way, unless some of this key is, and waits for it. */
    fun run(key: String, work: () -> Unit) {
        check(ports.mayBlock()) { "this call waits, which the present thread mustn't" }
        val flight = begin(key, work)
        wait(flight, System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(waitMillis))
    }

    /** Calls [done] with what became of [flight], on a thread of the SDK's. */
    fun whenDone(flight: Flight, done: (Throwable?) -> Unit) {
        flight.future.whenComplete { _, error -> done(error) }
    }

    /** Calls [work] of the app's, which may wait for what the worker has to do; hence not on the worker's thread. */
    fun tell(work: () -> Unit) {
        if (ports.worker != null) work() else Thread(work, "watchword-callback").apply { isDaemon = true }.start()
    }

    /** Calls [work] on the worker's thread; where there is none, calls [tell] here with the error. */
    fun execute(work: () -> Unit, tell: (WatchwordException) -> Unit) {
        try {
            worker.execute(work)
        } catch (@Suppress("TooGenericExceptionCaught") error: Throwable) {
            tell(noThread(error))
        }
    }

    /** An executor was shut down, or a phone has no room for a thread. */
    private fun noThread(error: Throwable) =
        WatchwordException.DeviceFailed(Kind.TRANSIENT, "there is no thread for the SDK's work", cause = error)

    private fun join(key: String, isEarly: Boolean, work: () -> Unit): Flight {
        val flight =
            synchronized(flights) {
                flights[key]?.let { return it }
                Flight(isEarly).also { flights[key] = it }
            }
        try {
            worker.execute { land(key, flight, outcome(work)) }
        } catch (@Suppress("TooGenericExceptionCaught") error: Throwable) {
            land(key, flight, noThread(error))
        }
        return flight
    }

    private fun land(key: String, flight: Flight, error: Throwable?) {
        // Before anybody hears of it: who comes now begins anew.
        synchronized(flights) { flights.remove(key) }
        finish(flight, error)
    }

    private fun outcome(work: () -> Unit): Throwable? = try {
        work()
        null
    } catch (@Suppress("TooGenericExceptionCaught") error: Throwable) {
        error // Whatever it is, it is for who waits.
    }

    private fun finish(flight: Flight, error: Throwable?) {
        if (error == null) flight.future.complete(Unit) else flight.future.completeExceptionally(error)
    }

    private fun wait(flight: Flight, end: Long, isCanceled: () -> Boolean = NEVER) {
        try {
            while (!isDone(flight, end, isCanceled)) {
                // OkHttp's own words: who cancels a call, or whose time is over, knows them.
                if (isCanceled()) throw IOException("Canceled")
            }
        } catch (error: ExecutionException) {
            if (!flight.isEarly) throw error.cause ?: error
        } catch (error: TimeoutException) {
            val message = "nothing came within $waitMillis ms; the work goes on in the background"
            throw WatchwordException.Offline("service-unavailable", message, cause = error)
        } catch (error: InterruptedException) {
            Thread.currentThread().interrupt()
            throw WatchwordException.Offline("service-unavailable", "the waiting thread was interrupted", cause = error)
        }
    }

    /** Waits for a slice of the time; nobody who cancels wakes who waits here. */
    private fun isDone(flight: Flight, end: Long, isCanceled: () -> Boolean): Boolean {
        val left = end - System.nanoTime()
        val slice = if (isCanceled === NEVER) left else minOf(left, SLICE_NANOS)
        try {
            flight.future.get(slice, TimeUnit.NANOSECONDS)
            return true
        } catch (error: TimeoutException) {
            if (slice == left) throw error
            return false
        }
    }

    private companion object {
        val NEVER = { false }
        const val MAX_ROUNDS = 4
        const val SLICE_NANOS = 50_000_000L
        const val IDLE_SECONDS = 30L

        fun ownWorker(): Executor = ThreadPoolExecutor(1, 1, IDLE_SECONDS, TimeUnit.SECONDS, LinkedBlockingQueue()) { work ->
            Thread(work, "watchword").apply { isDaemon = true }
        }.apply { allowCoreThreadTimeOut(true) }
    }
}
