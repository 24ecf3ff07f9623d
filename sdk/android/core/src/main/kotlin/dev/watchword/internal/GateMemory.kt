package dev.watchword.internal

/**
 * What the gates of one API said; shared by all requests, each field set in one step.
 *
 * @property nonce the newest nonce of a gate, null while none gave one.
 * @property ahead the gates' time less the boot clock, in seconds; null while they said nothing that counts.
 * @property lengths whether a body without a length was refused for that.
 */
internal class GateMemory {
    @Volatile var nonce: String? = null

    @Volatile var ahead: Double? = null

    @Volatile var lengths: Boolean = false
}

/** Reads the header `Date` (RFC 9110 section 5.6.7: IMF-fixdate); seconds since 1970, null if it isn't one. */
internal fun httpDate(text: String?): Double? {
    val found = HTTP_DATE.matchEntire(text ?: return null) ?: return null
    val (day, month, year, hour, minute, second) = found.destructured
    val calendar = java.util.GregorianCalendar(java.util.TimeZone.getTimeZone("UTC"), java.util.Locale.ROOT)
    calendar.clear()
    calendar.set(year.toInt(), MONTHS.indexOf(month) / 3, day.toInt(), hour.toInt(), minute.toInt(), second.toInt())
    return calendar.timeInMillis / 1000.0
}

private const val MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
private val HTTP_DATE =
    Regex(
        "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) " +
            "([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60) GMT",
    )
