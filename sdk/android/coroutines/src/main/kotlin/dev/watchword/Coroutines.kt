@file:JvmName("WatchwordCoroutines")

package dev.watchword

import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException

/**
 * Suspends until there is a valid token; a cancelled coroutine goes on at once, and the work without it.
 *
 * @throws WatchwordException if there is none to be had.
 */
public suspend fun Watchword.awaitReady(): Unit = suspendCancellableCoroutine { continuation ->
    prefetch { error ->
        // Resuming one that was cancelled meanwhile does nothing.
        if (error == null) continuation.resume(Unit) else continuation.resumeWithException(error)
    }
}

/**
 * Returns a token as [Watchword.token] does, on a thread of [dispatcher]; cancellable.
 *
 * @throws WatchwordException if there is none to be had.
 */
public suspend fun Watchword.awaitToken(audience: String, dispatcher: CoroutineDispatcher = Dispatchers.IO): String =
    runInterruptible(dispatcher) { interruptible { token(audience) } }

/**
 * Returns a secret as [Watchword.secret] does, on a thread of [dispatcher]; cancellable.
 *
 * @throws WatchwordException if there is none to be had.
 */
public suspend fun Watchword.awaitSecret(name: String, dispatcher: CoroutineDispatcher = Dispatchers.IO): Secret =
    runInterruptible(dispatcher) { interruptible { secret(name) } }

/** Says that the thread was interrupted in the word that coroutines know. */
private inline fun <T> interruptible(action: () -> T): T = try {
    action()
} catch (error: WatchwordException) {
    throw error.cause as? InterruptedException ?: error
}
