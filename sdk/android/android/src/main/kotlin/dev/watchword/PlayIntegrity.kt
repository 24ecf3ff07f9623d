package dev.watchword

/**
 * Asks Google Play for a verdict on this device and app; the app implements it with Google's library.
 *
 * Watchword compiles against nothing of Google's. With `com.google.android.play:integrity` in the app, this is all:
 *
 * ```kotlin
 * class GooglePlayIntegrity(context: Context, private val cloudProject: Long) : PlayIntegrity {
 *     private val manager = IntegrityManagerFactory.createStandard(context.applicationContext)
 *     private var prepared: StandardIntegrityTokenProvider? = null
 *
 *     override fun token(requestHash: String): String = try {
 *         val provider = prepared ?: Tasks.await(
 *             manager.prepareIntegrityToken(
 *                 PrepareIntegrityTokenRequest.builder().setCloudProjectNumber(cloudProject).build(),
 *             ),
 *         ).also { prepared = it }
 *         val request = StandardIntegrityTokenRequest.builder().setRequestHash(requestHash).build()
 *         Tasks.await(provider.request(request)).token()
 *     } catch (error: ExecutionException) {
 *         prepared = null  // A provider that failed is made anew.
 *         val cause = error.cause as? StandardIntegrityException ?: throw error
 *         throw PlayIntegrityException(cause.errorCode, cause)
 *     }
 * }
 * ```
 *
 * Written from Google's page on standard requests (developer.android.com/google/play/integrity/standard, 2026-11-29);
 * it was never compiled against Google's library nor run with Play services.
 */
public fun interface PlayIntegrity {
    /**
     * Returns an integrity token for a standard request. Called in the background, by one thread at a time; may block.
     *
     * Repeat nothing here: Watchword pauses and asks again.
     *
     * @param requestHash 43 characters of base64url, as they stand.
     * @throws PlayIntegrityException with Google's code.
     */
    @Throws(PlayIntegrityException::class)
    public fun token(requestHash: String): String
}

/**
 * Says that Google Play returned no verdict.
 *
 * @property code of `StandardIntegrityErrorCode`, below 0.
 */
public class PlayIntegrityException
@JvmOverloads
constructor(public val code: Int, cause: Throwable? = null) :
    Exception("Play Integrity failed with code $code", cause)
